//! What is told of a client's certificate: to backends, and in texts of the edge's own. Written
//! once a connection, so that a request costs a copy.

use super::identity::{AlternativeName, Identity, Verdict};
use crate::record::layout::{COMPLETED_CERTIFICATE_VERIFIED, HEAD_CERTIFICATE, HEAD_CERTIFICATE_VERIFIED};
use boring::base64;
use std::sync::Arc;

/// Longest serial number and subject of a line.
const SERIAL_CUT: usize = 64;
const SUBJECT_CUT: usize = 256;

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
    record: Box<[u8]>,
    line: Arc<[u8]>,
    /// Name and value of each field for backends.
    fields: Box<[(Box<str>, Box<str>)]>,
}

impl Told {
    /// Writes what is told of a certificate.
    pub fn new(identity: Arc<Identity>, forward: &[ForwardField]) -> Told {
        let fingerprint: Box<str> = identity.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
        let names = names_text(&identity.names).into();
        let (record, line) = (record_of(&identity, &fingerprint).into(), line_of(&identity, &fingerprint).into());
        let mut told = Told { identity, fingerprint, names, record, line, fields: Box::default() };
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

    /// For the admin API: verdict, fingerprint, serial number and subject as JSON.
    pub fn describe(&self) -> String {
        let (verdict, Identity { serial, subject, .. }) = (verdict_text(self.identity.verdict), &*self.identity);
        let cut = |text: &str, most| text.chars().take(most).collect::<String>().replace('\\', "\\\\").replace('"', "\\\"");
        format!(
            r#"{{"verdict":"{verdict}","fingerprint":"{}","serial":"{}","subject":"{}"}}"#,
            self.fingerprint,
            cut(serial, SERIAL_CUT),
            cut(subject, SUBJECT_CUT)
        )
    }

    /// What it says, for the lane: lines, of which the first character says what it is.
    pub fn record(&self) -> &[u8] {
        &self.record
    }

    /// The same for the access log: fingerprint, serial number and subject, a line each.
    pub fn line(&self) -> Arc<[u8]> {
        self.line.clone()
    }

    /// Flags of a `Head`.
    pub fn head_flags(&self) -> u32 {
        HEAD_CERTIFICATE | if self.is_verified() { HEAD_CERTIFICATE_VERIFIED } else { 0 }
    }

    /// Flags of a `Completion`.
    pub fn completion_flags(&self) -> u32 {
        if self.is_verified() { COMPLETED_CERTIFICATE_VERIFIED } else { 0 }
    }

    fn is_verified(&self) -> bool {
        self.identity.verdict == Verdict::Verified
    }

    /// What a field for backends says; none where this connection's rules have no such field.
    pub fn field(&self, name: &[u8]) -> Option<&str> {
        self.fields.iter().find(|(own, _)| own.as_bytes() == name).map(|(_, value)| &**value)
    }
}

/// No name has a control character, so that a line end ends a line. Of a certificate that was not
/// verified there is only the fingerprint: no rule can take the rest for true.
fn record_of(identity: &Identity, fingerprint: &str) -> Vec<u8> {
    let mut text = format!("F{fingerprint}\n");
    if identity.verdict == Verdict::Verified {
        text += &format!("S{}\nO{}\nI{}\n", identity.serial, identity.subject, identity.issuer);
        for name in &identity.names {
            text += &match name {
                AlternativeName::Dns(name) => format!("D{name}\n"),
                AlternativeName::Uri(name) => format!("U{name}\n"),
                AlternativeName::Email(name) => format!("M{name}\n"),
                AlternativeName::Ip(address) => format!("A{address}\n"),
            };
        }
    }
    text.into_bytes()
}

fn line_of(identity: &Identity, fingerprint: &str) -> Vec<u8> {
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    format!("{fingerprint}\n{}\n{}", cut(&identity.serial, SERIAL_CUT), cut(&identity.subject, SUBJECT_CUT)).into_bytes()
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
    fn a_description_is_json_whatever_a_subject_holds() {
        let hostile = Identity { subject: r#"CN=a\","x":"\00"#.into(), ..(*identity(Verdict::Unverified)).clone() };
        let text = Told::new(Arc::new(hostile), &[]).describe();
        let fingerprint = "ab".repeat(32);
        assert_eq!(
            text,
            format!(r#"{{"verdict":"unverified","fingerprint":"{fingerprint}","serial":"0A","subject":"CN=a\\\",\"x\":\"\\00"}}"#)
        );
    }

    #[test]
    fn the_lane_hears_of_names_only_where_they_were_verified_and_lines_are_cut() {
        let told = Told::new(identity(Verdict::Verified), &[]);
        let text = format!("F{}\nS0A\nOCN=a\nICN=b\nDa.test\nUx:\",DNS:b.test,\\\nA192.0.2.1\n", "ab".repeat(32));
        assert_eq!(String::from_utf8_lossy(told.record()), text);
        let unverified = Told::new(identity(Verdict::Unverified), &[]);
        assert_eq!(unverified.record(), format!("F{}\n", "ab".repeat(32)).as_bytes());
        let long =
            Identity { subject: "x".repeat(1_000).into(), serial: "0".repeat(1_000).into(), ..(*identity(Verdict::Verified)).clone() };
        let line = Told::new(Arc::new(long), &[]).line();
        assert_eq!(&*line, format!("{}\n{}\n{}", "ab".repeat(32), "0".repeat(64), "x".repeat(256)).as_bytes());
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
