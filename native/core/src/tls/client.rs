//! TLS towards backends: what a backend's certificate must prove, and the protocols we offer it.
//!
//! One [`ClientTls`] a backend holds the trust and remembers a session, so that later connections
//! resume (RFC 8446 §2.2). Verification is on unless the configuration says otherwise, and names
//! what was asked for, never what an address resolved to.

use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use boring::error::ErrorStack;
use boring::pkey::PKey;
use boring::sha::sha256;
use boring::ssl::{
    ErrorCode, Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslRef, SslSession, SslSessionCacheMode, SslStream, SslVerifyMode,
    SslVersion,
};
use boring::x509::X509VerifyError;
use boring::x509::store::X509StoreBuilder;
use boring::x509::verify::X509CheckFlags;
use boring::x509::{X509, X509Ref};
use boring_sys as ffi;

use super::verdict::Fault;
use crate::base::panics;
use crate::base::reason::Reason;

/// Offered in this order (RFC 7301): HTTP/2, then HTTP/1.1.
const ALPN: &[u8] = b"\x02h2\x08http/1.1";

/// What a backend must prove.
#[derive(Clone, Copy, Debug)]
pub struct ClientTlsOptions<'a> {
    /// Server name asked for (SNI) and proven; an IP literal or nothing sends none.
    pub server_name: &'a str,
    /// Name or IP literal that is proven when there is no server name.
    pub host: &'a str,
    /// Whether the certificate is verified at all.
    pub is_verified: bool,
    /// PEM bundle trusted instead of the system's roots; empty for the system's.
    pub ca_pem: &'a str,
    /// What is shown when the backend asks.
    pub credentials: &'a Credentials,
    /// Lowest and highest version that is spoken.
    pub versions: (TlsVersion, TlsVersion),
    /// Keys of which the verified chain must have one; none for any.
    pub pins: &'a [Pin],
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.2.
    V12,
    /// TLS 1.3.
    V13,
}

impl TlsVersion {
    /// `1.2` or `1.3`.
    pub fn of(text: &str) -> Option<TlsVersion> {
        match text {
            "1.2" => Some(TlsVersion::V12),
            "1.3" => Some(TlsVersion::V13),
            _ => None,
        }
    }

    fn number(self) -> SslVersion {
        match self {
            TlsVersion::V12 => SslVersion::TLS1_2,
            TlsVersion::V13 => SslVersion::TLS1_3,
        }
    }
}

/// A certificate chain and its key, PEM; both empty for none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The leaf first.
    pub chain_pem: String,
    /// Not encrypted.
    pub key_pem: String,
}

impl fmt::Debug for Credentials {
    /// Never the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("chain_pem", &self.chain_pem).finish_non_exhaustive()
    }
}

/// SHA-256 of a SubjectPublicKeyInfo (RFC 7469 §2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pin([u8; 32]);

impl Pin {
    /// From base64.
    pub fn of(text: &str) -> Option<Pin> {
        let bytes = boring::base64::decode_block(text).ok().filter(|_| text.len() == 44 && text.ends_with('='))?;
        bytes.first_chunk().copied().map(Pin)
    }

    /// Of a certificate's key; none when BoringSSL does not know its kind.
    pub fn of_key(certificate: &X509Ref) -> Option<Pin> {
        let key = certificate.public_key().and_then(|key| key.public_key_to_der()).ok()?;
        Some(Pin(sha256(&key)))
    }
}

/// Why a backend's trust could not be prepared.
#[derive(Debug)]
pub enum ClientTlsError {
    /// The bundle, or the chain to be shown, holds no certificate.
    EmptyBundle,
    /// BoringSSL refused something; what it says.
    Library(ErrorStack),
}

impl From<ErrorStack> for ClientTlsError {
    fn from(stack: ErrorStack) -> Self {
        ClientTlsError::Library(stack)
    }
}

impl fmt::Display for ClientTlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientTlsError::EmptyBundle => f.write_str("the bundle holds no certificate"),
            ClientTlsError::Library(stack) => stack.fmt(f),
        }
    }
}

/// Why a handshake came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// One of [`crate::base::reason::OF_TLS`].
    pub reason: Reason,
    /// What more is known: BoringSSL's word, or the name of the alert. Never anything of the peer's
    /// own.
    pub detail: &'static str,
}

impl Failure {
    /// What is trusted could not be prepared.
    pub fn of_trust() -> Failure {
        Failure { reason: Reason::TlsFailed, detail: "the certificates to trust or to show cannot be used" }
    }

    /// What the peer's alert says about our side of the handshake.
    pub fn of_alert(name: &'static str) -> Failure {
        match name {
            CERTIFICATE_REQUIRED => Failure { reason: Reason::TlsCertificateRequired, detail: "" },
            _ => Failure { reason: Reason::TlsAlert, detail: name },
        }
    }

    /// What is wrong with the backend's certificate, if anything.
    pub fn of_verification(ssl: &SslRef) -> Option<Failure> {
        Some(match ssl.verify_result().err()? {
            // Our own verdict, which the library has no word for.
            X509VerifyError::APPLICATION_VERIFICATION => {
                Failure { reason: Reason::TlsPinMismatch, detail: "no certificate of the chain has a pinned key" }
            }
            verdict => Failure { reason: Fault::of(verdict).reason(), detail: verdict.error_string() },
        })
    }

    /// What an error of QUIC says that stands for an alert (RFC 9001 §4.8).
    pub fn of_quic_alert(code: u64) -> Option<Failure> {
        alert(i32::try_from(code.checked_sub(0x100)?).ok()?).map(Failure::of_alert)
    }

    /// What a handshake's error says.
    pub fn of_handshake(error: &boring::ssl::Error, ssl: &SslRef) -> Failure {
        if matches!(error.code(), ErrorCode::SYSCALL | ErrorCode::ZERO_RETURN) {
            return Failure { reason: Reason::TlsClosed, detail: "" };
        }
        let code = code_of(error);
        match code {
            ffi::SSL_R_CERTIFICATE_VERIFY_FAILED => {
                Failure::of_verification(ssl).unwrap_or(Failure { reason: Reason::TlsCertificateInvalid, detail: "" })
            }
            // The first bytes are no record of TLS.
            ffi::SSL_R_WRONG_VERSION_NUMBER | ffi::SSL_R_HTTP_REQUEST | ffi::SSL_R_HTTPS_PROXY_REQUEST => {
                Failure { reason: Reason::TlsPlainText, detail: "" }
            }
            ffi::SSL_R_UNSUPPORTED_PROTOCOL => Failure { reason: Reason::TlsNotAgreed, detail: "version" },
            ffi::SSL_R_WRONG_CIPHER_RETURNED | ffi::SSL_R_UNKNOWN_CIPHER_RETURNED => {
                Failure { reason: Reason::TlsNotAgreed, detail: "cipher" }
            }
            ffi::SSL_R_WRONG_CURVE | ffi::SSL_R_NO_SHARED_GROUP => Failure { reason: Reason::TlsNotAgreed, detail: "group" },
            _ => match alert(code - ffi::SSL_AD_REASON_OFFSET) {
                // RFC 8446 §6.2: these say that nothing was found on which both agree.
                Some(name @ ("handshake_failure" | "protocol_version" | "insufficient_security" | "no_application_protocol")) => {
                    Failure { reason: Reason::TlsNotAgreed, detail: name }
                }
                Some(name) => Failure::of_alert(name),
                None => Failure { reason: Reason::TlsFailed, detail: "" },
            },
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.detail.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.reason.code(), self.detail)
    }
}

/// The name of the alert by which the peer broke an open connection; empty when none did.
pub fn alert_of(error: &boring::ssl::Error) -> &'static str {
    alert(code_of(error) - ffi::SSL_AD_REASON_OFFSET).unwrap_or("")
}

/// What TLS says of it; other parts of the library, such as the one that looks at signatures, may
/// have complained before.
fn code_of(error: &boring::ssl::Error) -> i32 {
    let errors = error.ssl_error().map_or(&[][..], |stack| stack.errors());
    errors.iter().find_map(|one| one.library_reason(ffi::ERR_LIB_SSL)).unwrap_or(0)
}

/// Said to a client that showed no certificate, and by no one else (RFC 8446 §6.2).
const CERTIFICATE_REQUIRED: &str = "certificate_required";

/// Names of alerts (RFC 8446 §6, RFC 5246 §7.2).
fn alert(number: i32) -> Option<&'static str> {
    Some(match number {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => CERTIFICATE_REQUIRED,
        120 => "no_application_protocol",
        0..=255 => "an alert without a name",
        _ => return None,
    })
}

/// Trust and memory of one backend.
pub struct ClientTls {
    context: SslContext,
    name: String,
    is_name_sent: bool,
    is_verified: bool,
    session: Arc<Mutex<Option<SslSession>>>,
}

impl ClientTls {
    /// Parses the bundle and prepares the context. Fails when the bundle holds no certificate or
    /// cannot be read.
    pub fn new(options: ClientTlsOptions<'_>) -> Result<ClientTls, ClientTlsError> {
        let mut builder = SslContextBuilder::new(SslMethod::tls())?;
        builder.set_min_proto_version(Some(options.versions.0.number()))?;
        builder.set_max_proto_version(Some(options.versions.1.number()))?;
        builder.set_alpn_protos(ALPN)?;
        // Writes are repeated from a buffer that may have moved meanwhile, and what fits is taken.
        builder.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS);
        trust(&mut builder, &options)?;
        show(&mut builder, options.credentials)?;
        pin(&mut builder, options.pins);
        let session = remember_sessions(&mut builder);
        let name = if options.server_name.is_empty() { options.host } else { options.server_name };
        Ok(ClientTls {
            context: builder.build(),
            name: name.to_owned(),
            is_name_sent: !options.server_name.is_empty() && options.server_name.parse::<IpAddr>().is_err(),
            is_verified: options.is_verified,
            session,
        })
    }

    /// A connection over `stream` that has not begun its handshake: call `connect` on it until it
    /// stops asking for more.
    pub fn begin<S: Read + Write>(&self, stream: S) -> Result<SslStream<S>, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        if self.is_name_sent {
            ssl.set_hostname(&self.name)?;
        }
        if self.is_verified {
            prove(&mut ssl, &self.name)?;
        }
        // A TLS 1.3 ticket is used once (RFC 8446 §C.4); the next one arrives with the connection
        // it opens.
        if let Some(session) = self.session.lock().ok().and_then(|mut slot| slot.take()) {
            // SAFETY: the session came from a connection of this very context.
            unsafe { ssl.set_session(&session)? };
        }
        SslStream::new(ssl, stream)
    }
}

/// Has a connection take a certificate for this name or address alone.
pub(crate) fn prove(ssl: &mut SslRef, name: &str) -> Result<(), ErrorStack> {
    let expected = ssl.param_mut();
    expected.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
    match name.parse::<IpAddr>() {
        Ok(address) => expected.set_ip(address),
        Err(_) => expected.set_host(name),
    }
}

/// The same trust, pins and credentials for a connection by QUIC, which still has to be told whom
/// to [`prove`].
pub(crate) fn context_for_quic(options: &ClientTlsOptions<'_>) -> Result<SslContextBuilder, ClientTlsError> {
    let mut builder = SslContextBuilder::new(SslMethod::tls())?;
    trust(&mut builder, options)?;
    show(&mut builder, options.credentials)?;
    pin(&mut builder, options.pins);
    Ok(builder)
}

fn trust(builder: &mut SslContextBuilder, options: &ClientTlsOptions<'_>) -> Result<(), ClientTlsError> {
    if !options.is_verified {
        builder.set_verify(SslVerifyMode::NONE);
        return Ok(());
    }
    builder.set_verify(SslVerifyMode::PEER);
    if options.ca_pem.is_empty() {
        return Ok(builder.set_default_verify_paths()?);
    }
    let certificates = X509::stack_from_pem(options.ca_pem.as_bytes())?;
    if certificates.is_empty() {
        return Err(ClientTlsError::EmptyBundle);
    }
    let mut store = X509StoreBuilder::new()?;
    for certificate in certificates {
        store.add_cert(&certificate)?;
    }
    builder.set_cert_store(store.build());
    Ok(())
}

fn show(builder: &mut SslContextBuilder, credentials: &Credentials) -> Result<(), ClientTlsError> {
    if credentials.chain_pem.is_empty() {
        return Ok(());
    }
    let mut chain = X509::stack_from_pem(credentials.chain_pem.as_bytes())?.into_iter();
    let leaf = chain.next().ok_or(ClientTlsError::EmptyBundle)?;
    let key = PKey::private_key_from_pem(credentials.key_pem.as_bytes())?;
    builder.set_certificate(&leaf)?;
    chain.try_for_each(|issuer| builder.add_extra_chain_cert(issuer))?;
    builder.set_private_key(&key)?;
    Ok(())
}

/// Wants one of the keys in the chain, from the leaf to the authority, by which the usual
/// verification came to its verdict.
fn pin(builder: &mut SslContextBuilder, pins: &[Pin]) {
    if pins.is_empty() {
        return;
    }
    let pins = pins.to_vec();
    // BoringSSL calls it: what panics must not pass through there.
    builder.set_cert_verify_callback(move |context| {
        panics::callback(false, || {
            if !context.verify_cert().unwrap_or(false) {
                return false;
            }
            let mut keys = context.chain().into_iter().flatten().filter_map(Pin::of_key);
            let is_pinned = keys.any(|key| pins.contains(&key));
            if !is_pinned {
                context.set_error(Err(X509VerifyError::APPLICATION_VERIFICATION));
            }
            is_pinned
        })
    });
}

fn remember_sessions(builder: &mut SslContextBuilder) -> Arc<Mutex<Option<SslSession>>> {
    let slot = Arc::new(Mutex::new(None));
    let remembered = slot.clone();
    builder.set_session_cache_mode(SslSessionCacheMode::CLIENT | SslSessionCacheMode::NO_INTERNAL);
    builder.set_new_session_callback(move |_, session| {
        panics::callback((), || {
            if let Ok(mut slot) = remembered.lock() {
                *slot = Some(session);
            }
        });
    });
    slot
}
