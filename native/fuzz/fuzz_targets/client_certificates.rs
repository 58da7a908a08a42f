//! What a client shows: certificates in DER, each after two bytes of length. Nobody here issued
//! any, so none is ever verified; what is only passed on is read all the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use lychgate_core::tls::client_auth::{Mode, Policies, Rules};

/// A CA whose key nobody has any more.
const CA: &str = include_str!("../ca.pem");

static RULES: LazyLock<[Policies; 2]> = LazyLock::new(|| {
    [Mode::Required, Mode::Any].map(|mode| {
        let rules = Rules { mode, ca_pem: CA.to_owned(), max_depth: 4, max_bytes: 65_536, ..Rules::off() };
        Policies::new(vec![rules]).unwrap()
    })
});

fuzz_target!(|input: &[u8]| {
    let mut chain = Vec::new();
    let mut rest = input;
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (der, after) = after.split_at(usize::from(u16::from_be_bytes(*length)).min(after.len()));
        chain.push(der);
        rest = after;
    }
    let [required, any] = &*RULES;
    assert!(required.policy(0).judge(&chain).is_err());
    let _ = any.policy(0).judge(&chain);
});
