//! The value of a `date` field, formatted once a second.

use std::time::{Duration, UNIX_EPOCH};

/// The text of the second it was last asked for.
#[derive(Default)]
pub struct Date {
    second: u64,
    text: String,
}

impl Date {
    /// A time, in milliseconds since the epoch, as an IMF-fixdate (RFC 9110 §5.6.7).
    pub fn at(&mut self, now_ms: f64) -> &[u8] {
        let second = (now_ms / 1e3) as u64;
        if second != self.second || self.text.is_empty() {
            self.second = second;
            self.text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn the_text_follows_the_second() {
        let mut date = Date::default();
        assert_eq!(date.at(784_111_777_000.0), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(784_111_777_999.0), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date.at(784_111_778_000.0), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }
}
