"""Scans a TLS listener with sslyze and prints what it found as one JSON object.

tls_scan.py ADDRESS PORT SERVER_NAME CLIENT_CERTIFICATE CLIENT_KEY   ("-" for no client certificate)
"""

import json
import pathlib
import sys

from sslyze import (
    ClientAuthenticationCredentials,
    ScanCommand,
    Scanner,
    ServerNetworkConfiguration,
    ServerNetworkLocation,
    ServerScanRequest,
)

VERSIONS = ["ssl_2_0", "ssl_3_0", "tls_1_0", "tls_1_1", "tls_1_2", "tls_1_3"]


def scan(address, port, name, certificate, key):
    location = ServerNetworkLocation(hostname=name, ip_address=address, port=port)
    credentials = None
    if certificate != "-":
        credentials = ClientAuthenticationCredentials(
            certificate_chain_path=pathlib.Path(certificate), key_path=pathlib.Path(key)
        )
    network = ServerNetworkConfiguration(
        tls_server_name_indication=name, tls_client_auth_credentials=credentials
    )
    wanted = {getattr(ScanCommand, version.upper() + "_CIPHER_SUITES") for version in VERSIONS}
    wanted |= {
        ScanCommand.TLS_COMPRESSION,
        ScanCommand.TLS_1_3_EARLY_DATA,
        ScanCommand.TLS_FALLBACK_SCSV,
        ScanCommand.HEARTBLEED,
        ScanCommand.ROBOT,
        ScanCommand.OPENSSL_CCS_INJECTION,
        ScanCommand.SESSION_RENEGOTIATION,
        ScanCommand.ELLIPTIC_CURVES,
    }
    scanner = Scanner(per_server_concurrent_connections_limit=2)
    scanner.queue_scans(
        [ServerScanRequest(server_location=location, network_configuration=network, scan_commands=wanted)]
    )
    (result,) = scanner.get_results()
    if result.scan_result is None:
        raise SystemExit(f"no scan: {result.connectivity_error_trace}")
    return result.scan_result


def value(attempt):
    if attempt.result is None:
        raise SystemExit(f"a scan failed: {attempt.error_reason} {attempt.error_trace}")
    return attempt.result


def main():
    address, port, name, certificate, key = sys.argv[1:]
    found = scan(address, int(port), name, certificate, key)
    renegotiation = value(found.session_renegotiation)
    report = {
        "suites": {
            version: sorted(
                suite.cipher_suite.name
                for suite in value(getattr(found, version + "_cipher_suites")).accepted_cipher_suites
            )
            for version in VERSIONS
        },
        "compression": value(found.tls_compression).supports_compression,
        "early_data": value(found.tls_1_3_early_data).supports_early_data,
        "heartbleed": value(found.heartbleed).is_vulnerable_to_heartbleed,
        "robot": value(found.robot).robot_result.name,
        "ccs_injection": value(found.openssl_ccs_injection).is_vulnerable_to_ccs_injection,
        "client_renegotiation": renegotiation.is_vulnerable_to_client_renegotiation_dos,
        "secure_renegotiation": renegotiation.supports_secure_renegotiation,
        "curves": sorted(curve.name for curve in value(found.elliptic_curves).supported_curves or []),
    }
    print(json.dumps(report))


main()
