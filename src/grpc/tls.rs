//! Certificates and keys from PEM files, for the door and for those who call (specification, section 19).
//!
//! Everything is read and checked at the start: a file that cannot be used is an error that names its setting, and not a
//! connection that fails later. [`Reloaded`] then looks whether the files have changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_rustls::rustls::{
    self, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    sign::CertifiedKey,
};

use crate::{log_text::printed, settings::TlsSettings};

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
pub(crate) fn client_tls(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    let ca = Pem::read(CA, settings.ca.as_deref(), "to call others over TLS")?;
    let roots = ca.authorities()?;
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
    Ok(config)
}

/// The TLS of a door: what it shows, and with `grpc.tls.ca` whom it lets in.
///
/// # Errors
/// [`TlsError`]; a door needs `grpc.tls.certificate` and `grpc.tls.key`.
pub(crate) fn server_tls(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let Some(files) = identity(settings, "to listen over TLS")? else {
        return Err(TlsError::Missing {
            key: CERTIFICATE,
            purpose: "to listen over TLS",
        });
    };
    let (chain, key) = files.parsed()?;
    let builder = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| files.key.unusable(error.to_string()))?;
    let builder = match &settings.ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let ca = Pem::read(CA, Some(path), "for mutual TLS")?;
            let roots = Arc::new(ca.authorities()?);
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier.map_err(|error| ca.unusable(error.to_string()))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| files.key.unusable(error.to_string()))?;
    config.alpn_protocols = vec![ALPN_H2.to_vec()];
    Ok(config)
}

/// What was made of the files of some settings, and is made anew when they change.
pub(crate) struct Reloaded<T> {
    settings: TlsSettings,
    make: fn(&TlsSettings) -> Result<T, TlsError>,
    current: ArcSwap<T>,
    looked: Mutex<Looked>,
}

struct Looked {
    at: Instant,
    files: Vec<Option<Vec<u8>>>,
}

/// How often it is looked whether the files have changed, at most.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl<T: Send + Sync + 'static> Reloaded<T> {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// [`TlsError`].
    pub(crate) fn new(
        settings: &TlsSettings,
        make: fn(&TlsSettings) -> Result<T, TlsError>,
    ) -> Result<Arc<Self>, TlsError> {
        let looked = Looked {
            at: Instant::now(),
            files: files(settings),
        };
        Ok(Arc::new(Self {
            current: ArcSwap::from_pointee(make(settings)?),
            looked: Mutex::new(looked),
            settings: settings.clone(),
            make,
        }))
    }

    /// What holds for a connection that begins now. New files that cannot be used leave the old ones in force.
    pub(crate) async fn current(self: Arc<Self>) -> Arc<T> {
        let is_due = {
            let mut looked = self.looked.lock();
            let is_due = looked.at.elapsed() >= LOOK_EVERY;
            if is_due {
                looked.at = Instant::now();
            }
            is_due
        };
        if is_due {
            let looker = Arc::clone(&self);
            // Where the runtime is ending, what is known is good enough.
            let _ = tokio::task::spawn_blocking(move || looker.look()).await;
        }
        self.current.load_full()
    }

    fn look(&self) {
        // Read before they are used: what changes in between is seen at the next look.
        let files = files(&self.settings);
        if std::mem::replace(&mut self.looked.lock().files, files.clone()) == files {
            return;
        }
        match (self.make)(&self.settings) {
            Ok(made) => {
                self.current.store(Arc::new(made));
                tracing::info!("certificates have changed and were read again");
            }
            Err(error) => {
                let error = printed(error);
                tracing::warn!(
                    error,
                    "certificates have changed and cannot be used: the old ones stay"
                );
            }
        }
    }
}

/// What the files hold; nothing where one cannot be read.
fn files(settings: &TlsSettings) -> Vec<Option<Vec<u8>>> {
    let paths = [&settings.ca, &settings.certificate, &settings.key];
    let paths = paths.into_iter().flatten();
    paths.map(|path| fs::read(path).ok()).collect()
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

    /// Its certificates, as those that sign others.
    fn authorities(&self) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            let added = roots.add(certificate);
            added.map_err(|error| self.unusable(error.to_string()))?;
        }
        Ok(roots)
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
