//! Held responses: the lane either passes one on or drops it and tries another backend.

use crate::http::fields::Fields;
use crate::upstream::Fault;

/// What has happened to a held response in the meantime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// The backend aborted it.
    pub fault: Option<Fault>,
    /// It is complete, and the backend asked to stop the request.
    pub is_upload_stopped: bool,
}

/// What a backend's response says about its outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its status; 0 if there was no response.
    pub status: u16,
    /// Its gRPC status, if any.
    pub grpc_status: Option<u32>,
    /// Delay in seconds from the Retry-After of a 429 or 503.
    pub retry_after_s: Option<u32>,
}

impl BackendStatus {
    /// Reads a response head. The gRPC status is in the head of a Trailers-Only response. A
    /// Retry-After given as a date is ignored.
    pub fn of(status: u16, fields: &Fields, is_grpc_looked_for: bool) -> BackendStatus {
        BackendStatus {
            status,
            grpc_status: if is_grpc_looked_for { grpc_status(fields) } else { None },
            retry_after_s: if matches!(status, 429 | 503) { number(fields.get(b"retry-after")) } else { None },
        }
    }
}

/// The gRPC status of a head or of trailers.
pub(crate) fn grpc_status(fields: &Fields) -> Option<u32> {
    number(fields.get(b"grpc-status"))
}

fn number(text: Option<&[u8]>) -> Option<u32> {
    let text = std::str::from_utf8(text?).ok()?;
    // The grammar has no sign (RFC 9110 §10.2.3).
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, fields: &[(&str, &str)]) -> (Option<u32>, Option<u32>) {
        let mut head = Fields::new();
        fields.iter().for_each(|(name, value)| head.push(name.as_bytes(), value.as_bytes()));
        let answer = BackendStatus::of(status, &head, true);
        (answer.grpc_status, answer.retry_after_s)
    }

    #[test]
    fn statuses_and_delays_are_read_where_they_mean_something_and_are_numbers() {
        assert_eq!(answer(503, &[("retry-after", "120")]), (None, Some(120)));
        assert_eq!(answer(429, &[("retry-after", "0"), ("grpc-status", "8")]), (Some(8), Some(0)));
        assert_eq!(answer(301, &[("retry-after", "120")]), (None, None));
        for value in ["", "-1", "+1", "1.5", "4294967296", "Fri, 31 Dec 1999 23:59:59 GMT"] {
            assert_eq!(answer(503, &[("retry-after", value), ("grpc-status", value)]), (None, None), "{value}");
        }
    }
}
