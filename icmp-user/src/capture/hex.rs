//! A frame typed as hexadecimal digits, in any of the ways in which tools print them.

/// What isn't a frame in hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HexError {
    /// There is no digit.
    #[error("the frame has no hexadecimal digits; give its octets from the Ethernet header on")]
    Empty,
    /// The last octet is half.
    #[error(
        "the frame has {digits} hexadecimal digits, which is odd: an octet has two, so one is \
         missing or one too many"
    )]
    Odd {
        /// How many there are.
        digits: usize,
    },
    /// There is something else.
    #[error("{character:?} at position {position} of the frame is not a hexadecimal digit")]
    Digit {
        /// What was found.
        character: char,
        /// Where, in characters from 1.
        position: usize,
    },
}

/// Reads the octets of a frame. White space and colons may stand anywhere, `0x` before any octet.
///
/// # Errors
/// Where there are no digits, an odd number of them, or anything else.
pub fn parse(text: &str) -> Result<Vec<u8>, HexError> {
    let mut octets = Vec::with_capacity(text.len() / 2);
    let mut digits = 0;
    let mut high = 0;
    let mut characters = text.chars().zip(1..).peekable();
    while let Some((character, position)) = characters.next() {
        if character.is_whitespace() || character == ':' {
            continue;
        }
        if character == '0'
            && digits % 2 == 0
            && characters.next_if(|(next, _)| matches!(next, 'x' | 'X')).is_some()
        {
            continue;
        }
        let digit = character.to_digit(16).and_then(|d| u8::try_from(d).ok());
        let digit = digit.ok_or(HexError::Digit { character, position })?;
        if digits % 2 == 0 {
            high = digit << 4;
        } else {
            octets.push(high | digit);
        }
        digits += 1;
    }
    match digits {
        0 => Err(HexError::Empty),
        _ if digits % 2 == 1 => Err(HexError::Odd { digits }),
        _ => Ok(octets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_tools_print_it() {
        for text in
            ["45000f", "45:00:0f", "45 00\n0F\n", "0x45 0x00 0x0f", "0x45000F", " 4 5:0 00 f\t"]
        {
            assert_eq!(parse(text), Ok(vec![0x45, 0, 0x0f]), "{text:?}");
        }
    }

    #[test]
    fn half_an_octet_is_told_by_the_count() {
        let error = parse("0x45:0").unwrap_err();
        assert_eq!(error, HexError::Odd { digits: 3 });
        assert!(error.to_string().contains("3 hexadecimal digits"), "{error}");
    }

    #[test]
    fn what_is_no_digit_is_told_by_its_place() {
        let at = |character, position| Err(HexError::Digit { character, position });
        assert_eq!(parse("45 0g"), at('g', 5));
        assert_eq!(parse("4x"), at('x', 2));
        assert_eq!(parse("40x5"), at('x', 3));
        assert_eq!(parse("ä"), at('ä', 1));
        assert_eq!(parse("45-00"), at('-', 3));
    }

    #[test]
    fn nothing_is_no_frame() {
        for text in ["", " \n", "::", "0x", "0x 0X"] {
            assert_eq!(parse(text), Err(HexError::Empty), "{text:?}");
        }
    }
}
