"""Connects with Python's ssl, twice with one session, and prints what came of it as one JSON object.

tls_client.py ADDRESS PORT SERVER_NAME VERSION AUTHORITY CERTIFICATE KEY   (VERSION: 1.2 or 1.3)
"""

import json
import socket
import ssl
import sys

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def request(context, address, port, name, session):
    with socket.create_connection((address, port), timeout=60) as plain:
        with context.wrap_socket(plain, server_hostname=name, session=session) as stream:
            stream.sendall(f"GET / HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode())
            answer = b""
            while piece := stream.recv(65536):
                answer += piece
            return {
                "version": stream.version(),
                "suite": stream.cipher()[0],
                "protocol": stream.selected_alpn_protocol(),
                "reused": stream.session_reused,
                "answer": answer.decode(),
                "names": [text for _, text in stream.getpeercert()["subjectAltName"]],
            }, stream.session


def main():
    address, port, name, version, authority, certificate, key = sys.argv[1:]
    context = ssl.create_default_context(cafile=authority)
    context.minimum_version = context.maximum_version = VERSIONS[version]
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate, key)
    first, session = request(context, address, int(port), name, None)
    second, _ = request(context, address, int(port), name, session)
    print(json.dumps([first, second]))


main()
