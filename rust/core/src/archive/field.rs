//! Numbers in tar headers: octal digits, or GNU's base-256 where those do not suffice.
//!
//! GNU tar 1.34 manual, "Basic Tar Format"; POSIX.1-2017, pax, "ustar Interchange Format".

/// Reads a numeric field. `None` when it holds no number, or one beyond `i64`.
pub fn parse(field: &[u8]) -> Option<i64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // Two's complement, big endian; the top bit only marks the encoding, the next one is the sign.
        let negative = first & 0x40 != 0;
        let mut value = i128::from(first & 0x7f) - if negative { 0x80 } else { 0 };
        for &byte in rest {
            value = value.checked_mul(256)?.checked_add(i128::from(byte))?;
        }
        return i64::try_from(value).ok();
    }
    // Old writers pad with spaces before and NULs or spaces behind; an empty field is 0.
    let digits = field.iter().skip_while(|b| **b == b' ').take_while(|b| !matches!(**b, b' ' | 0));
    let mut value: i64 = 0;
    for &byte in digits {
        let digit = byte.checked_sub(b'0').filter(|d| *d < 8)?;
        value = value.checked_mul(8)?.checked_add(i64::from(digit))?;
    }
    Some(value)
}

/// A numeric field that cannot be negative (sizes, owners, offsets).
pub fn parse_unsigned(field: &[u8]) -> Option<u64> {
    parse(field).and_then(|v| u64::try_from(v).ok())
}

/// Writes `value` as octal digits and a NUL where they fit, else in base 256.
pub fn write(field: &mut [u8], value: i64) {
    let digits = field.len().saturating_sub(1);
    // 11 digits hold 33 bits, 7 digits 21.
    if value >= 0 && (digits * 3 >= 63 || value >> (digits * 3) == 0) {
        let mut rest = value;
        for (i, slot) in field.iter_mut().enumerate().rev() {
            if i == digits {
                *slot = 0;
            } else {
                *slot = b'0' + (rest & 7) as u8;
                rest >>= 3;
            }
        }
        return;
    }
    let mut rest = value;
    for slot in field.iter_mut().rev() {
        *slot = (rest & 0xff) as u8;
        // Arithmetic: fills with the sign.
        rest >>= 8;
    }
    if let Some(first) = field.first_mut() {
        *first |= 0x80;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(len: usize, value: i64) -> Option<i64> {
        let mut field = vec![b'?'; len];
        write(&mut field, value);
        parse(&field)
    }

    #[test]
    fn numbers_of_every_size_come_back() {
        for shift in 0..63 {
            for value in [1i64 << shift, (1 << shift) - 1, -(1 << shift), -(1 << shift) - 1] {
                assert_eq!(round_trip(12, value), Some(value));
                if (-(1 << 30)..1 << 30).contains(&value) {
                    assert_eq!(round_trip(8, value), Some(value), "in 8 bytes");
                }
            }
        }
    }

    #[test]
    fn octal_is_used_as_far_as_it_goes() {
        let mut field = [0; 12];
        write(&mut field, 0o77777777777);
        assert_eq!(&field, b"77777777777\0");
        write(&mut field, 0o77777777777 + 1);
        assert_eq!(field, [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn what_other_writers_put_there_is_read() {
        assert_eq!(parse(b"   644 \0"), Some(0o644));
        assert_eq!(parse(b"0000644 "), Some(0o644));
        assert_eq!(parse(&[0; 8]), Some(0));
        assert_eq!(parse(b"12345678901\x37"), None, "8 and 9 are no octal digits");
        assert_eq!(parse(b"777777777777"), Some(0o777777777777));
        assert_eq!(parse(&[0xff; 12]), Some(-1));
        assert_eq!(parse_unsigned(&[0xff; 12]), None);
        let mut huge = [0; 12];
        (huge[0], huge[1]) = (0x80, 1);
        assert_eq!(parse(&huge), None, "2^80 is beyond us");
    }

    #[test]
    fn nothing_but_octal_digits_is_a_number() {
        let mut field = [b'?'; 8];
        write(&mut field, 0);
        assert_eq!(&field, b"0000000\0");
        for (text, number) in [(b"0000017\0", Some(15)), (b"0000018\0", None), (b"000001x\0", None)] {
            assert_eq!(parse(text), number);
        }
    }
}
