//! Held responses: a backend's response that the lane may want to pass on, or to forget and try
//! elsewhere.

use crate::http::fields::Fields;
use crate::upstream::Fault;

/// What became of a held response meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hold {
    /// The backend broke it off.
    pub fault: Option<Fault>,
    /// It is complete, and the backend wants no more of the request.
    pub is_upload_stopped: bool,
}

/// What a backend's response says of how it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendStatus {
    /// Its status, 0 where none came.
    pub status: u16,
    /// Its gRPC status.
    pub grpc_status: Option<u32>,
    /// Seconds that a backend which answered 429 or 503 asked to be left alone.
    pub retry_after_s: Option<u32>,
}

impl BackendStatus {
    /// Reads what of a response matters to the lane. gRPC's status stands in the head where nothing
    /// else comes; a Retry-After that is a date is passed over.
    pub fn of(status: u16, fields: &Fields, is_grpc_looked_for: bool) -> BackendStatus {
        BackendStatus {
            status,
            grpc_status: if is_grpc_looked_for { grpc_status(fields) } else { None },
            retry_after_s: if matches!(status, 429 | 503) { number(fields.get(b"retry-after")) } else { None },
        }
    }
}

/// The gRPC status in a head or in trailers.
pub(crate) fn grpc_status(fields: &Fields) -> Option<u32> {
    number(fields.get(b"grpc-status"))
}

fn number(text: Option<&[u8]>) -> Option<u32> {
    let text = std::str::from_utf8(text?).ok()?;
    // A sign is no part of the grammar (RFC 9110 §10.2.3).
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
