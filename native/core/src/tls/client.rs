//! TLS towards backends: what a backend's certificate must prove, and the protocols we offer it.
//!
//! One [`ClientTls`] a backend holds the trust and remembers a session, so that later connections resume (RFC 8446 §2.2). Verification is
//! on unless the configuration says otherwise, and names what was asked for, never what an address resolved to.

use std::fmt;
use std::io::{Read, Write};
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use boring::error::ErrorStack;
use boring::ssl::{
    Ssl, SslContext, SslContextBuilder, SslMethod, SslMode, SslSession, SslSessionCacheMode, SslStream, SslVerifyMode, SslVersion,
};
use boring::x509::X509;
use boring::x509::store::X509StoreBuilder;
use boring::x509::verify::X509CheckFlags;

use crate::base::panics;

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
}

/// Why a backend's trust could not be prepared.
#[derive(Debug)]
pub enum ClientTlsError {
    /// The bundle holds no certificate.
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

/// Trust and memory of one backend.
pub struct ClientTls {
    context: SslContext,
    name: String,
    is_name_sent: bool,
    is_verified: bool,
    session: Arc<Mutex<Option<SslSession>>>,
}

impl ClientTls {
    /// Parses the bundle and prepares the context. Fails when the bundle holds no certificate or cannot be read.
    pub fn new(options: ClientTlsOptions<'_>) -> Result<ClientTls, ClientTlsError> {
        let mut builder = SslContextBuilder::new(SslMethod::tls())?;
        builder.set_min_proto_version(Some(SslVersion::TLS1_2))?;
        builder.set_alpn_protos(ALPN)?;
        // Writes are repeated from a buffer that may have moved meanwhile, and what fits is taken.
        builder.set_mode(SslMode::ENABLE_PARTIAL_WRITE | SslMode::ACCEPT_MOVING_WRITE_BUFFER | SslMode::RELEASE_BUFFERS);
        trust(&mut builder, &options)?;
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

    /// A connection over `stream` that has not begun its handshake: call `connect` on it until it stops asking for more.
    pub fn begin<S: Read + Write>(&self, stream: S) -> Result<SslStream<S>, ErrorStack> {
        let mut ssl = Ssl::new(&self.context)?;
        if self.is_name_sent {
            ssl.set_hostname(&self.name)?;
        }
        if self.is_verified {
            let expected = ssl.param_mut();
            expected.set_hostflags(X509CheckFlags::NO_PARTIAL_WILDCARDS);
            match self.name.parse::<IpAddr>() {
                Ok(address) => expected.set_ip(address)?,
                Err(_) => expected.set_host(&self.name)?,
            }
        }
        // A TLS 1.3 ticket is used once (RFC 8446 §C.4); the next one arrives with the connection it opens.
        if let Some(session) = self.session.lock().ok().and_then(|mut slot| slot.take()) {
            // SAFETY: the session came from a connection of this very context.
            unsafe { ssl.set_session(&session)? };
        }
        SslStream::new(ssl, stream)
    }
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
