//! Tests of gen_api that need more than a user should build: certificates made on the spot, and programs to start and kill.

mod arguments;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair,
};

pub use arguments::Arguments;

/// An authority that signs certificates, with the folder its files are in; both end with it.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: PathBuf,
}

/// A certificate and its key as PEM files, and their texts.
pub struct Identity {
    /// The file of the certificate.
    pub certificate: PathBuf,
    /// The file of its private key.
    pub key: PathBuf,
    /// What is in the file of the certificate.
    pub certificate_pem: String,
    /// What is in the file of the key.
    pub key_pem: String,
}

impl Authority {
    /// A new authority, which nobody trusts yet.
    ///
    /// # Panics
    /// Where the machine cannot make keys or files.
    #[must_use]
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("gen_api-e2e-{}-{count}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).expect("a folder");
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("gen_api tests {count}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        fs::write(folder.join("ca.pem"), issuer.pem()).expect("a file");
        Self { issuer, folder }
    }

    /// The file of its certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The text of its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate for this name, for doors and callers alike.
    ///
    /// # Panics
    /// Where the name is none.
    #[must_use]
    pub fn sign(&self, name: &str) -> Identity {
        self.sign_until(name, 4096)
    }

    /// A certificate that is valid until the end of this year.
    ///
    /// # Panics
    /// Where the name is none.
    #[must_use]
    pub fn sign_until(&self, name: &str, year: i32) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        params.not_after = rcgen::date_time_ymd(year, 12, 31);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let identity = Identity {
            certificate: self.folder.join(format!("{name}-{year}.pem")),
            key: self.folder.join(format!("{name}-{year}.key")),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        };
        fs::write(&identity.certificate, &identity.certificate_pem).expect("a file");
        fs::write(&identity.key, &identity.key_pem).expect("a file");
        identity
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
