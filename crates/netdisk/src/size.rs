//! Sizes as people write them.

/// A size in bytes, as people write it.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let (digits, power) = match text.to_ascii_uppercase().as_str() {
        upper if upper.ends_with('K') => (&text[..text.len() - 1], 1),
        upper if upper.ends_with('M') => (&text[..text.len() - 1], 2),
        upper if upper.ends_with('G') => (&text[..text.len() - 1], 3),
        upper if upper.ends_with('T') => (&text[..text.len() - 1], 4),
        _ => (text, 0),
    };
    let number: Option<u64> = digits.parse().ok();
    // SQLite's numbers are signed.
    let size =
        number.and_then(|number| number.checked_mul(1024_u64.pow(power))).filter(|size| *size <= i64::MAX as u64);
    size.ok_or_else(|| "a number of bytes, with K, M, G or T behind it if you like".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse("0"), Ok(0));
        assert_eq!(parse("1023"), Ok(1023));
        assert_eq!(parse("2k"), Ok(2048));
        assert_eq!(parse("500M"), Ok(500 << 20));
        assert_eq!(parse("3G"), Ok(3 << 30));
        assert_eq!(parse("1T"), Ok(1 << 40));
        for wrong in ["", "G", "-1", "1.5G", "1GB", "99999999T", "夏"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
