//! Paths and authorities made canonical: the form is its own form, keeps its bounds, and holds none
//! of the spellings that rules could be walked around with.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lychgate_core::http::characters::{is_authority, is_path};
use lychgate_core::http::normal::{DefaultPort, Rules, authority, path};

/// The form of a text, if it has one; made once more it must stay.
fn form(text: &[u8], mut make: impl FnMut(&[u8], &mut Vec<u8>) -> Result<bool, &'static str>) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let is_changed = make(text, &mut out).ok()?;
    let form = if is_changed { out } else { text.to_vec() };
    assert_eq!(make(&form, &mut Vec::new()), Ok(false), "{:?}", String::from_utf8_lossy(&form));
    Some(form)
}

fuzz_target!(|input: (u8, &[u8], &[u8])| {
    let (choice, path_text, authority_text) = input;
    let rules = Rules { are_slashes_merged: choice & 1 == 1, are_escaped_slashes_kept: choice & 2 == 2 };
    if let Some(form) = form(path_text, |text, out| path(text, rules, out))
        && form != b"*"
    {
        assert!(is_path(&form) && form.len() <= 3 * path_text.len().max(1));
        let path = form.split(|byte| *byte == b'?').next().unwrap();
        assert!(!path.split(|byte| *byte == b'/').any(|segment| segment == b"." || segment == b".."));
        assert!(!rules.are_slashes_merged || !path.windows(2).any(|pair| pair == b"//"));
        for escape in path.windows(3).filter(|three| three[0] == b'%') {
            assert!(!escape.iter().any(u8::is_ascii_lowercase));
            assert!(rules.are_escaped_slashes_kept || escape != b"%2F" && escape != b"%5C");
        }
    }
    let port = DefaultPort::of(if choice & 4 == 4 { b"https" } else { b"http" });
    if let Some(form) = form(authority_text, |text, out| authority(text, port, out)) {
        assert!(is_authority(&form) && form.len() <= authority_text.len() + 6);
        assert!(!form.iter().any(u8::is_ascii_uppercase));
    }
});
