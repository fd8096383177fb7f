//! The application of the tests: its key pair, its account, its secret.

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use pem::Pem;

/// The application, and the account behind it: those of the signing vectors.
pub const APPLICATION: &str = "0f3b6a52-9c1d-4e87-b2a4-61d0c7f58e19";
/// The account.
pub const API_KEY: &str = "a1b2c3d4";
/// The account's signature secret.
pub const SECRET: &str = "conversationd-test-signature-secret-not-real-0001";
/// The secret that comes after it.
pub const NEW_SECRET: &str = "conversationd-test-signature-secret-not-real-0002";

/// An RSA key pair, PEM.
pub struct Pair {
    /// The application's.
    pub private: String,
    /// Vonage's half.
    pub public: String,
}

/// The key pair of this test process: making one takes a while.
pub fn pair() -> &'static Pair {
    static PAIR: OnceLock<Pair> = OnceLock::new();
    PAIR.get_or_init(|| {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("a key can be made");
        let private = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).expect("it can be written");
        let public = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).expect("it can be written");
        Pair {
            private: pem::encode(&Pem::new("PRIVATE KEY", private.as_ref())),
            public: pem::encode(&Pem::new("PUBLIC KEY", public.as_ref())),
        }
    })
}
