//! Certificates and keys from PEM files, for the door and for those who call (SPEC section 19).
//!
//! Everything is read and checked once, at the start: a file that cannot be used is an error that names its setting, and
//! not a connection that fails later.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    sign::CertifiedKey,
};
use tonic::transport::{Certificate, Identity, ServerTlsConfig};

use crate::settings::TlsSettings;

const CA: &str = "grpc.tls.ca";
const CERTIFICATE: &str = "grpc.tls.certificate";
const KEY: &str = "grpc.tls.key";
/// What both sides agree on to speak before the first byte of HTTP/2.
pub(super) const ALPN_H2: &[u8] = b"h2";

/// Why the TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file is needed that the settings do not name.
    #[error("{key} is needed {purpose}")]
    Missing {
        /// The path of the setting, such as `grpc.tls.ca`.
        key: &'static str,
        /// What for.
        purpose: &'static str,
    },
    /// A file could not be read.
    #[error("{key}: cannot read {}: {reason}", path.display())]
    Unreadable {
        /// The path of the setting.
        key: &'static str,
        /// The file it names.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        reason: io::Error,
    },
    /// A file holds something that cannot be used.
    #[error("{key}: {} cannot be used: {reason}", path.display())]
    Unusable {
        /// The path of the setting.
        key: &'static str,
        /// The file it names.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// The TLS of a caller: whom it trusts, and what it shows where it is asked.
///
/// # Errors
/// [`TlsError`]; a caller needs `grpc.tls.ca`.
pub(crate) fn client_tls(settings: &TlsSettings) -> Result<Arc<ClientConfig>, TlsError> {
    let ca = Pem::read(CA, settings.ca.as_deref(), "to call others over TLS")?;
    let mut roots = RootCertStore::empty();
    for certificate in ca.certificates()? {
        roots
            .add(certificate)
            .map_err(|error| ca.unusable(error.to_string()))?;
    }
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| ca.unusable(error.to_string()))?
        .with_root_certificates(roots);
    let mut config = match identity(settings, "for mutual TLS")? {
        None => builder.with_no_client_auth(),
        Some(files) => {
            let (chain, key) = files.parsed()?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|error| files.key.unusable(error.to_string()))?
        }
    };
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(Arc::new(config))
}

/// The TLS of a door: what it shows, and with `grpc.tls.ca` whom it lets in.
///
/// # Errors
/// [`TlsError`]; a door needs `grpc.tls.certificate` and `grpc.tls.key`.
pub(crate) fn server_tls(settings: &TlsSettings) -> Result<ServerTlsConfig, TlsError> {
    let Some(files) = identity(settings, "to listen over TLS")? else {
        return Err(TlsError::Missing {
            key: CERTIFICATE,
            purpose: "to listen over TLS",
        });
    };
    files.parsed()?;
    let mut config = ServerTlsConfig::new()
        .identity(Identity::from_pem(&files.certificate.text, &files.key.text));
    if settings.ca.is_some() {
        let ca = Pem::read(CA, settings.ca.as_deref(), "for mutual TLS")?;
        let mut roots = RootCertStore::empty();
        for certificate in ca.certificates()? {
            let added = roots.add(certificate);
            added.map_err(|error| ca.unusable(error.to_string()))?;
        }
        config = config.client_ca_root(Certificate::from_pem(&ca.text));
    }
    Ok(config)
}

/// The embedder's cryptography, where the process has a default one, else `ring`.
fn provider() -> Arc<CryptoProvider> {
    CryptoProvider::get_default()
        .cloned()
        .unwrap_or_else(|| Arc::new(ring::default_provider()))
}

/// The certificate and its key, where the settings name them.
fn identity(
    settings: &TlsSettings,
    purpose: &'static str,
) -> Result<Option<IdentityFiles>, TlsError> {
    let (certificate, key) = (settings.certificate.as_deref(), settings.key.as_deref());
    if certificate.is_none() && key.is_none() {
        return Ok(None);
    }
    Ok(Some(IdentityFiles {
        certificate: Pem::read(CERTIFICATE, certificate, purpose)?,
        key: Pem::read(KEY, key, purpose)?,
    }))
}

struct IdentityFiles {
    certificate: Pem,
    key: Pem,
}

impl IdentityFiles {
    /// The chain and its key, which belong together.
    fn parsed(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let chain = self.certificate.certificates()?;
        let key = PrivateKeyDer::from_pem_slice(&self.key.text).map_err(|error| {
            self.key
                .unusable(format!("it holds no private key ({error})"))
        })?;
        // Known here and not at the first handshake: a key of another certificate.
        match CertifiedKey::from_der(chain.clone(), key.clone_key(), &provider()) {
            Ok(_) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
                Ok((chain, key))
            }
            Err(rustls::Error::InvalidCertificate(reason)) => {
                Err(self.certificate.unusable(format!("{reason:?}")))
            }
            Err(error) => Err(self.key.unusable(error.to_string())),
        }
    }
}

/// A file of the settings.
struct Pem {
    key: &'static str,
    path: PathBuf,
    text: Vec<u8>,
}

impl Pem {
    fn read(
        key: &'static str,
        path: Option<&Path>,
        purpose: &'static str,
    ) -> Result<Self, TlsError> {
        let path = path.ok_or(TlsError::Missing { key, purpose })?.to_owned();
        match fs::read(&path) {
            Ok(text) => Ok(Self { key, path, text }),
            Err(reason) => Err(TlsError::Unreadable { key, path, reason }),
        }
    }

    /// Its certificates, at least one.
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.text).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            Ok(_) => Err(self.unusable("it holds no certificate".to_owned())),
            Err(error) => Err(self.unusable(error.to_string())),
        }
    }

    fn unusable(&self, reason: String) -> TlsError {
        TlsError::Unusable {
            key: self.key,
            path: self.path.clone(),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, text: &str) -> PathBuf {
        let name = format!("gen_api-tls-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    #[test]
    fn a_caller_needs_an_authority_and_a_door_a_certificate() {
        let nothing = TlsSettings::default();
        let error = client_tls(&nothing).unwrap_err().to_string();
        assert_eq!(error, "grpc.tls.ca is needed to call others over TLS");
        let error = server_tls(&nothing).unwrap_err().to_string();
        assert_eq!(error, "grpc.tls.certificate is needed to listen over TLS");
    }

    #[test]
    fn an_error_names_the_setting_and_the_file() {
        let missing = TlsSettings::default().with_ca("/does/not/exist.pem");
        let error = client_tls(&missing).unwrap_err();
        assert!(matches!(error, TlsError::Unreadable { .. }));
        let error = error.to_string();
        assert!(
            error.starts_with("grpc.tls.ca: cannot read /does/not/exist.pem:"),
            "{error}"
        );

        let empty = file("empty.pem", "no certificate in here\n");
        let settings = TlsSettings::default().with_ca(&empty);
        let error = client_tls(&settings).unwrap_err().to_string();
        assert!(error.ends_with("it holds no certificate"), "{error}");
        let settings = TlsSettings::default().with_identity(&empty, &empty);
        let error = server_tls(&settings).unwrap_err().to_string();
        assert!(error.starts_with("grpc.tls.certificate: "), "{error}");
        fs::remove_file(empty).unwrap();
    }

    #[test]
    fn a_certificate_without_its_key_names_the_key() {
        let settings = TlsSettings {
            certificate: Some(file("lonely.pem", "")),
            ..TlsSettings::default()
        };
        let error = server_tls(&settings).unwrap_err().to_string();
        assert_eq!(error, "grpc.tls.key is needed to listen over TLS");
        fs::remove_file(settings.certificate.unwrap()).unwrap();
    }
}
