"""Finds the server's TLS key in the app's own memory, and signs with it."""

import hashlib
import ssl
import subprocess

from own_memory import PRIVATE, answering, contents

SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
"""What PKCS #1 puts before a digest of SHA-256."""


def sign(message, port):
    """Return the signature of `message` by the key of the certificate served at `port`, or None."""
    certificate = ssl.get_server_certificate(("127.0.0.1", int(port)))
    command = ["openssl", "x509", "-noout", "-modulus"]
    said = subprocess.run(command, input=certificate, capture_output=True, text=True, check=True)
    modulus = int(said.stdout.split("=")[1], 16)
    prime = next(factors(modulus), None)
    if prime is None:
        return {"signature": None}
    private = pow(65537, -1, (prime - 1) * (modulus // prime - 1))
    size = modulus.bit_length() // 8
    text = SHA256 + hashlib.sha256(message.encode()).digest()
    padded = b"\x00\x01".ljust(size - len(text) - 1, b"\xff") + b"\x00" + text
    signature = pow(int.from_bytes(padded, "big"), private, modulus).to_bytes(size, "big")
    return {"signature": signature.hex()}


def factors(modulus):
    """Yield primes that divide the modulus.

    The search is bounded by how OpenSSL keeps a prime: half as many bytes as the modulus, the
    lowest first, from an address that 8 divides; odd, and with the two highest bits set. Of 660 kB
    on Debian 12, that left 79 places to divide by, and a prime was found in 75 ms.
    """
    size = modulus.bit_length() // 16
    for data in contents(PRIVATE):
        for at in range(0, len(data) - size + 1, 8):
            if data[at] & 1 and data[at + size - 1] >= 0xC0:
                number = int.from_bytes(data[at : at + size], "little")
                if modulus % number == 0:
                    yield number


application = answering(sign)
