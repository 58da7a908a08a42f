//! Connection-based authentication: NTLM and Negotiate (RFC 4559 §6). A client that authenticated
//! so is trusted for the rest of the connection, so that connection may carry no other client.

use crate::http::fields::{Field, Fields, Known};

/// Whether a response head asks for such authentication. For 401 and 407 only; the fields mean
/// nothing with other statuses.
pub fn has_connection_challenge(fields: &Fields) -> bool {
    fields.iter().any(|field| is_challenge(&field) && challenges(field.value).any(|(scheme, _)| is_connection_scheme(scheme)))
}

/// Whether a field of a request has such credentials.
pub fn is_connection_credentials(field: &Field<'_>) -> bool {
    field.known == Known::Secret
        && matches!(field.name, b"authorization" | b"proxy-authorization")
        && is_connection_scheme(token(trim_start(field.value)))
}

/// Removes such challenges from a response head and leaves others; whether there were any.
pub fn remove_connection_challenges(fields: &mut Fields) -> bool {
    let mut kept: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    let mut has_found = false;
    fields.retain(|field| {
        if !is_challenge(&field) || !challenges(field.value).any(|(scheme, _)| is_connection_scheme(scheme)) {
            return true;
        }
        has_found = true;
        let others: Vec<&[u8]> =
            challenges(field.value).filter(|(scheme, _)| !is_connection_scheme(scheme)).map(|(_, whole)| whole).collect();
        if !others.is_empty() {
            kept.push((field.name.to_vec(), others.join(&b", "[..])));
        }
        false
    });
    kept.iter().for_each(|(name, value)| fields.push(name, value));
    has_found
}

fn is_challenge(field: &Field<'_>) -> bool {
    Known::Other.covers(field.known) && matches!(field.name, b"www-authenticate" | b"proxy-authenticate")
}

fn is_connection_scheme(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
}

/// The challenges of a list (RFC 9110 §11.6.1): the scheme, and the whole with its parameters.
fn challenges(list: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = skip_commas(list, at);
        if start == list.len() {
            return None;
        }
        let mut end = element_end(list, start);
        at = end;
        loop {
            at = skip_commas(list, at);
            let next = element_end(list, at);
            if !is_parameter(&list[at..next]) {
                break;
            }
            (end, at) = (next, next);
        }
        let whole = trim_end(&list[start..end]);
        Some((token(whole), whole))
    })
}

/// List elements may be empty (RFC 9110 §5.6.1).
fn skip_commas(list: &[u8], from: usize) -> usize {
    list[from..].iter().position(|b| !matches!(b, b',' | b' ' | b'\t')).map_or(list.len(), |count| from + count)
}

/// The comma after the element that begins at `from`, or the end. Quoted commas do not count; a
/// quote that is not closed does not quote.
fn element_end(list: &[u8], from: usize) -> usize {
    let (mut is_quoted, mut is_escaped, mut first) = (false, false, None);
    for (index, byte) in list.iter().enumerate().skip(from) {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return index,
            b',' if first.is_none() => first = Some(index),
            _ => {}
        }
    }
    first.filter(|_| is_quoted).unwrap_or(list.len())
}

/// `name=value`, perhaps with white space around the sign: a parameter of the challenge before it.
fn is_parameter(element: &[u8]) -> bool {
    trim_start(&element[token(element).len()..]).first() == Some(&b'=')
}

fn token(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|b| matches!(b, b' ' | b'\t' | b'=' | b',' | b'"')).unwrap_or(text.len());
    &text[..end]
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = text {
        text = rest;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(values: &[&str]) -> (bool, Vec<String>) {
        let mut fields = Fields::new();
        fields.push(b":status", b"401");
        values.iter().for_each(|value| fields.push(b"www-authenticate", value.as_bytes()));
        assert_eq!(has_connection_challenge(&fields), remove_connection_challenges(&mut fields.clone()), "{values:?}");
        let has_found = remove_connection_challenges(&mut fields);
        assert!(!has_connection_challenge(&fields));
        (has_found, fields.iter().skip(1).map(|field| String::from_utf8(field.value.to_vec()).unwrap()).collect())
    }

    #[test]
    fn the_two_are_taken_out_and_other_challenges_stay_whole() {
        for (value, expected) in [
            ("NTLM", ""),
            ("negotiate", ""),
            ("Negotiate YIIB==", ""),
            ("NTLM TlRMTVNTUAAC=", ""),
            ("Negotiate, NTLM", ""),
            (" , Negotiate ,, NTLM , ", ""),
            ("Negotiate, Basic realm=\"a, NTLM\"", "Basic realm=\"a, NTLM\""),
            ("Basic realm=\"x\" , charset = \"UTF-8\",NTLM", "Basic realm=\"x\" , charset = \"UTF-8\""),
            ("Digest realm=\"\\\", NTLM\", nonce=1, Negotiate abc, Bearer", "Digest realm=\"\\\", NTLM\", nonce=1, Bearer"),
            ("Bearer a=b,, c=d, NTLM", "Bearer a=b,, c=d"),
            ("Basic realm=\"x, NTLM", "Basic realm=\"x"),
        ] {
            let expected: Vec<String> = [expected].into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect();
            assert_eq!(left(&[value]), (true, expected), "{value}");
        }
    }

    #[test]
    fn what_only_looks_like_them_stays_as_it_is() {
        for value in
            ["Basic realm=\"NTLM\"", "NTLMv9", "Basic NTLM=x", "Basic realm=x, ntlm=1", "Digest negotiate = \"a\"", "", "\"NTLM\"", ","]
        {
            assert_eq!(left(&[value]), (false, vec![value.to_owned()]), "{value}");
        }
    }

    #[test]
    fn fields_are_looked_at_one_by_one() {
        assert_eq!(left(&["NTLM", "Basic realm=x", "Negotiate, Bearer"]), (true, vec!["Basic realm=x".to_owned(), "Bearer".to_owned()]));
        let mut fields = Fields::new();
        fields.push(b"proxy-authenticate", b"Negotiate");
        fields.push(b"x-authenticate", b"NTLM");
        assert!(remove_connection_challenges(&mut fields));
        assert_eq!(fields.len(), 1);
    }

    #[test]
    fn credentials_are_known_by_their_scheme() {
        let offers = |name: &[u8], value: &[u8]| {
            let mut fields = Fields::new();
            fields.push(name, value);
            is_connection_credentials(&fields.at(0))
        };
        assert!(offers(b"authorization", b"NTLM TlRMTVNTUAAB") && offers(b"proxy-authorization", b"negotiate YII="));
        assert!(!offers(b"authorization", b"Basic NTLM") && !offers(b"x-authorization", b"NTLM x") && !offers(b"set-cookie", b"NTLM x"));
    }
}
