"""Keys, certificates, invitations and signed updates: why a unit may believe a server, and a server a unit.

* ``CertificateAuthority``, ``UnitIdentity`` and ``Invitation`` say who is who (mutual TLS).
* ``UpdateClient`` says which release is genuine and newest (TUF); it does not care who brought the bytes.
* Private keys are made where they stay. Nothing here opens a socket; ``wire`` does.
"""

from eyebright_common.trust.authority import CertificateAuthority, Credentials, IssuedCertificate
from eyebright_common.trust.certificates import (
    PeerIdentity,
    Role,
    certificate_request,
    checked_name,
    fingerprint,
    identity_uri,
    load_certificate,
    read_identity,
    requested_key,
)
from eyebright_common.trust.folder_fetcher import METADATA_URL, TARGETS_URL, FolderFetcher, split_url
from eyebright_common.trust.http_fetcher import HttpFetcher, LeastRate
from eyebright_common.trust.identity import UnitIdentity
from eyebright_common.trust.invitation import Invitation, new_invitation, token_hash
from eyebright_common.trust.keyring import KeyPlace, Keyring, Locations
from eyebright_common.trust.keys import (
    PrivateKey,
    load_private_key,
    new_certificate_key,
    new_signing_key,
    public_key_digest,
    save_private_key,
    signer_for,
)
from eyebright_common.trust.model_bundle import BUNDLE_FILE, ModelSigner
from eyebright_common.trust.releases import RELEASE_FILE, AvailableRelease, releases_among, target_name
from eyebright_common.trust.signing_time import set_signing_time, signing_time
from eyebright_common.trust.update_client import ResumingFetcher, UpdateClient

__all__ = [
    "BUNDLE_FILE",
    "METADATA_URL",
    "RELEASE_FILE",
    "TARGETS_URL",
    "AvailableRelease",
    "CertificateAuthority",
    "Credentials",
    "FolderFetcher",
    "HttpFetcher",
    "Invitation",
    "IssuedCertificate",
    "KeyPlace",
    "Keyring",
    "LeastRate",
    "Locations",
    "ModelSigner",
    "PeerIdentity",
    "PrivateKey",
    "ResumingFetcher",
    "Role",
    "UnitIdentity",
    "UpdateClient",
    "certificate_request",
    "checked_name",
    "fingerprint",
    "identity_uri",
    "load_certificate",
    "load_private_key",
    "new_certificate_key",
    "new_invitation",
    "new_signing_key",
    "public_key_digest",
    "read_identity",
    "releases_among",
    "requested_key",
    "save_private_key",
    "set_signing_time",
    "signer_for",
    "signing_time",
    "split_url",
    "target_name",
    "token_hash",
]
