"""TLS to a runtime socket: who HAProxy has to be, and who we are.

Both sides show a certificate. Without a check of HAProxy's, whoever takes its address is told
where every endpoint is; without ours, whoever reaches the port is an administrator.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from reconciler.errors import ConfigError, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What a connection by TLS needs; the same for all HAProxies."""

    ca: Path | None = None
    """Who signed HAProxy's certificate; None: whom the system trusts."""
    certificate: Path | None = None
    """Ours, with its key, in one PEM file; None: HAProxy asks for none."""
    name: str = ""
    """The name in HAProxy's certificate; '': the host in its address."""

    def context(self) -> ssl.SSLContext:
        """Return what asyncio needs, from the files as they are now.

        They are read for each connection, so that a renewed certificate needs no restart.
        Raises ConfigError for a file that cannot be used.
        """
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ValueError) as error:
            raise _unusable("haproxy-ca", self.ca, error) from error
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if self.certificate is not None:
            try:
                # A password would be asked for on the terminal, by a daemon.
                context.load_cert_chain(self.certificate, password=_no_password)
            except (OSError, ValueError) as error:
                raise _unusable("haproxy-cert", self.certificate, error) from error
        return context


def _no_password() -> str:
    raise ValueError("its key is protected by a password")


def _unusable(option: str, path: Path | None, error: Exception) -> ConfigError:
    mend = "it has to be a PEM file with a certificate and, for haproxy-cert, its private key"
    if isinstance(error, ssl.SSLError):
        why = (error.reason or str(error)).lower().replace("_", " ")
    elif isinstance(error, OSError):
        why, mend = (
            (error.strerror or str(error)).lower(),
            "correct the path or its mode",
        )
    else:
        why = str(error)
    return ConfigError(f"{option} {quoted(path)} cannot be used: {why}; {mend}")


_WORDS = {
    "CERTIFICATE_VERIFY_FAILED": "its certificate is not to be trusted",
    "WRONG_VERSION_NUMBER": "what answers there speaks no TLS",
    "RECORD_LAYER_FAILURE": "what answers there speaks no TLS",
    "HTTP_REQUEST": "what answers there speaks no TLS",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it wants a certificate of ours: give "
    "--haproxy-cert",
    "TLSV1_ALERT_UNKNOWN_CA": "it does not trust our certificate: its ca-file and "
    "--haproxy-cert have to be of one authority",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it does not accept our certificate",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired: renew --haproxy-cert",
    "SSLV3_ALERT_HANDSHAKE_FAILURE": "it wants a certificate of ours, or other ciphers: "
    "see --haproxy-cert",
}


def told(error: ssl.SSLError) -> str:
    """Return what went wrong with TLS, for whoever has to mend it."""
    words = _WORDS.get(error.reason or "", "")
    if isinstance(error, ssl.SSLCertVerificationError):
        detail = error.verify_message.rstrip(".").lower()
        return (
            f"{words or 'its certificate is not to be trusted'} ({detail}); see --haproxy-ca "
            "and --haproxy-name"
        )
    return words or (error.reason or str(error)).lower().replace("_", " ")
