//! Open connections are held against what is wanted of clients now.

use super::handshake::Auth;
use super::policies::Policies;
use super::rules::Mode;
use crate::base::counters::CertificateRefused;
use boring::ssl::{NameType, SslRef};
use std::sync::Arc;

/// Holds an open connection against the policies of now, for the name it was opened with: from here
/// on it obeys them. Says whether they are others; whoever does not pass has to go.
pub(in crate::tls) fn recheck(
    policies: &Arc<Policies>,
    ssl: &SslRef,
    auth: &mut Option<Box<Auth>>,
    now: i64,
) -> Result<bool, CertificateRefused> {
    if auth.as_ref().is_some_and(|auth| auth.generation() == policies.generation() && !auth.has_run_out(now)) {
        return Ok(false);
    }
    let place = ssl.servername_raw(NameType::HOST_NAME).map_or(0, |name| policies.find(name));
    let policy = policies.policy(place);
    let before = auth.take();
    let is_as_before = before.as_ref().is_some_and(|auth| {
        let old = auth.policy();
        (old.digest, old.rules.keeps_connections) == (policy.digest, policy.rules.keeps_connections) && !auth.has_run_out(now)
    });
    let shown = before.and_then(|auth| auth.identity);
    let judged = match (&shown, policy.rules.mode) {
        (_, Mode::Off) => Ok(None),
        _ if is_as_before => Ok(shown.clone()),
        (None, Mode::Required) => Err(CertificateRefused::Missing),
        (None, _) => Ok(None),
        (Some(identity), _) => policy.judge(&identity.chain.iter().map(|der| &**der).collect::<Vec<_>>()).map(|one| Some(Arc::new(one))),
    };
    let identity = match judged {
        Ok(identity) => identity,
        Err(_) if policy.rules.keeps_connections => shown,
        Err(refused) => return Err(refused),
    };
    *auth = (!policies.is_off()).then(|| Box::new(Auth { policies: policies.clone(), place, identity }));
    Ok(true)
}
