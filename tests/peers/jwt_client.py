"""Makes keys and tokens with PyJWT: a key set in a file, and a token for each algorithm on standard output.

Usage: jwt_client.py JWKS_FILE"""

import json
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

keys = {
    "rsa": (rsa.generate_private_key(public_exponent=65537, key_size=2048), RSAAlgorithm),
    "p256": (ec.generate_private_key(ec.SECP256R1()), ECAlgorithm),
    "p384": (ec.generate_private_key(ec.SECP384R1()), ECAlgorithm),
    "ed": (ed25519.Ed25519PrivateKey.generate(), OKPAlgorithm),
}
signed_by = {
    "RS256": "rsa",
    "RS384": "rsa",
    "RS512": "rsa",
    "PS256": "rsa",
    "PS384": "rsa",
    "PS512": "rsa",
    "ES256": "p256",
    "ES384": "p384",
    "EdDSA": "ed",
}

key_set = []
for kid, (key, algorithm) in keys.items():
    jwk = json.loads(algorithm.to_jwk(key.public_key()))
    key_set.append({**jwk, "kid": kid})
with open(sys.argv[1], "w") as file:
    json.dump({"keys": key_set}, file)

now = int(time.time())
claims = {"iss": "https://issuer.example", "aud": "shop", "sub": "alice", "iat": now, "exp": now + 300}
for algorithm, kid in signed_by.items():
    print(algorithm, jwt.encode(claims, keys[kid][0], algorithm=algorithm, headers={"kid": kid}))
