//! What is told of a client's certificate: to backends, and in texts of the edge's own. Written once
//! a connection, so that a request costs a copy.

use super::identity::{AlternativeName, Identity, Verdict};
use boring::base64;
use std::sync::Arc;

/// Something that a certificate says, or that was found out about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// As RFC 9440 §2.2 has it.
    Certificate,
    /// What links it to an authority, as RFC 9440 §2.3 has it.
    Chain,
    /// `verified` or `unverified`.
    Verdict,
    /// SHA-256, hex.
    Fingerprint,
    /// Hex.
    Serial,
    /// RFC 4514.
    Subject,
    /// RFC 4514.
    Issuer,
    /// A list of strings as RFC 9651 has it: `"DNS:a.test", "URI:spiffe://a/b"`.
    Names,
}

impl Fact {
    /// As the configuration spells it.
    pub fn of(text: &str) -> Option<Fact> {
        Some(match text {
            "certificate" => Fact::Certificate,
            "chain" => Fact::Chain,
            "verdict" => Fact::Verdict,
            "fingerprint" => Fact::Fingerprint,
            "serial" => Fact::Serial,
            "subject" => Fact::Subject,
            "issuer" => Fact::Issuer,
            "names" => Fact::Names,
            _ => return None,
        })
    }

    /// Whether nobody but the client says so where the certificate was not verified. That it has
    /// the key of the one with this fingerprint it has proved in any case.
    fn needs_trust(self) -> bool {
        !matches!(self, Fact::Verdict | Fact::Fingerprint)
    }
}

/// A field in which backends are told of certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardField {
    /// Lower-case.
    pub name: Box<str>,
    /// What it says.
    pub fact: Fact,
}

/// Who a client is, and what is told of it.
#[derive(Debug)]
pub struct Told {
    /// Who it is.
    pub identity: Arc<Identity>,
    fingerprint: Box<str>,
    names: Box<str>,
    /// Name and value of each field for backends.
    fields: Box<[(Box<str>, Box<str>)]>,
}

impl Told {
    /// Writes what is told of a certificate.
    pub fn new(identity: Arc<Identity>, forward: &[ForwardField]) -> Told {
        let fingerprint = identity.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        let names = names_text(&identity.names).into();
        let mut told = Told { identity, fingerprint, names, fields: Box::default() };
        told.fields = forward.iter().map(|field| (field.name.clone(), told.owned(field.fact))).collect();
        told
    }

    fn owned(&self, fact: Fact) -> Box<str> {
        match fact {
            Fact::Certificate => sequence(self.identity.der()).into(),
            Fact::Chain => {
                let others: Vec<String> = self.identity.chain.iter().skip(1).map(|der| sequence(der)).collect();
                others.join(", ").into()
            }
            fact => self.text(fact).into(),
        }
    }

    /// What a fact of a connection comes to for rules and edits: of a certificate that was not
    /// verified only what its client has proved. A certificate itself is for fields alone.
    pub fn proved(&self, fact: Fact) -> &str {
        if self.identity.verdict != Verdict::Verified && fact.needs_trust() { "" } else { self.text(fact) }
    }

    fn text(&self, fact: Fact) -> &str {
        match fact {
            Fact::Certificate | Fact::Chain => "",
            Fact::Verdict => verdict_text(self.identity.verdict),
            Fact::Fingerprint => &self.fingerprint,
            Fact::Serial => &self.identity.serial,
            Fact::Subject => &self.identity.subject,
            Fact::Issuer => &self.identity.issuer,
            Fact::Names => &self.names,
        }
    }

    /// What a field for backends says; none where this connection's rules have no such field.
    pub fn field(&self, name: &[u8]) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.as_bytes() == name).map(|(_, value)| &**value)
    }
}

/// How a verdict is spelled.
pub fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Verified => "verified",
        Verdict::Unverified => "unverified",
    }
}

/// A byte sequence (RFC 9651 §3.3.5).
fn sequence(der: &[u8]) -> String {
    format!(":{}:", base64::encode_block(der))
}

/// Names are printable ASCII, so that each is a string once its quotes and backslashes are escaped
/// (RFC 9651 §3.3.3): none can pretend to be two.
fn names_text(names: &[AlternativeName]) -> String {
    let mut text = String::new();
    for name in names {
        text.push_str(if text.is_empty() { "\"" } else { ", \"" });
        let (kind, value) = match name {
            AlternativeName::Dns(name) => ("DNS:", name.to_string()),
            AlternativeName::Uri(name) => ("URI:", name.to_string()),
            AlternativeName::Email(name) => ("email:", name.to_string()),
            AlternativeName::Ip(address) => ("IP:", address.to_string()),
        };
        text.push_str(kind);
        for character in value.chars() {
            if matches!(character, '"' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push('"');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(verdict: Verdict) -> Arc<Identity> {
        Arc::new(Identity {
            verdict,
            fingerprint: [0xab; 32],
            serial: "0A".into(),
            subject: "CN=a".into(),
            issuer: "CN=b".into(),
            names: [
                AlternativeName::Dns("a.test".into()),
                AlternativeName::Uri(r#"x:",DNS:b.test,\"#.into()),
                AlternativeName::Ip("192.0.2.1".parse().unwrap()),
            ]
            .into(),
            not_after: 0,
            valid_until: 0,
            chain: [b"leaf".as_slice(), b"one", b"two"].map(Box::from).into(),
        })
    }

    fn fields(list: &[(&str, Fact)]) -> Vec<ForwardField> {
        list.iter().map(|(name, fact)| ForwardField { name: (*name).into(), fact: *fact }).collect()
    }

    #[test]
    fn fields_for_backends_are_written_as_structured_fields() {
        let wanted = fields(&[("client-cert", Fact::Certificate), ("client-cert-chain", Fact::Chain), ("x-names", Fact::Names)]);
        let told = Told::new(identity(Verdict::Verified), &wanted);
        assert_eq!(told.field(b"client-cert"), Some(":bGVhZg==:"));
        assert_eq!(told.field(b"client-cert-chain"), Some(":b25l:, :dHdv:"));
        assert_eq!(told.field(b"x-names"), Some(r#""DNS:a.test", "URI:x:\",DNS:b.test,\\", "IP:192.0.2.1""#));
        assert_eq!(told.field(b"x-serial"), None);
    }

    #[test]
    fn of_what_was_not_verified_only_the_fingerprint_is_proved() {
        let [verified, unverified] = [Verdict::Verified, Verdict::Unverified].map(|verdict| Told::new(identity(verdict), &[]));
        for fact in [Fact::Serial, Fact::Subject, Fact::Issuer, Fact::Names] {
            assert!(!verified.proved(fact).is_empty() && unverified.proved(fact).is_empty(), "{fact:?}");
        }
        assert_eq!(unverified.proved(Fact::Fingerprint), "ab".repeat(32));
        assert_eq!([&verified, &unverified].map(|told| told.proved(Fact::Verdict)), ["verified", "unverified"]);
    }
}
