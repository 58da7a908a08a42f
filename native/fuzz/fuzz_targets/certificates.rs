//! Two PEM texts, a chain and its key, after two bytes that say where the second begins: they are
//! taken as a pair that belongs together, or refused in words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::tls::certificate::Certificate;

fuzz_target!(|input: &[u8]| {
    let Some((at, rest)) = input.split_first_chunk::<2>() else { return };
    let (chain, key) = rest.split_at(usize::from(u16::from_be_bytes(*at)).min(rest.len()));
    let (chain, key) = (String::from_utf8_lossy(chain), String::from_utf8_lossy(key));
    match Certificate::parse("a".to_owned(), Vec::new(), &chain, &key).and_then(|parsed| parsed.with_ocsp(rest)) {
        Ok(certificate) => assert!(!certificate.chain.is_empty() && certificate.validity.0 <= i64::MAX),
        Err(said) => assert!(!said.is_empty() && said.iter().all(|said| !said.contains('\n'))),
    }
});
