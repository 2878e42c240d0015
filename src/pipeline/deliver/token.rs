//! The secret that keeps strangers on the same machine or network out.

use std::fmt;
use std::io::Read;

/// 128 random bits as hex, or a text that the user chose.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A new random token.
    ///
    /// # Errors
    /// Where the system's random source cannot be read.
    pub fn random() -> std::io::Result<Token> {
        let mut bits = [0u8; 16];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bits)?;
        Ok(Token(bits.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// A token that was chosen elsewhere, such as in the environment.
    pub fn given(text: impl Into<String>) -> Token {
        Token(text.into())
    }

    /// The text, to be handed to a program.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `offered` is this token. Takes the same time wherever the first difference is, so
    /// that the token cannot be guessed a character at a time.
    pub fn admits(&self, offered: &str) -> bool {
        let (ours, theirs) = (self.0.as_bytes(), offered.as_bytes());
        let differing = ours.iter().zip(theirs).fold(0u8, |bits, (a, b)| bits | (a ^ b));
        ours.len() == theirs.len() && !ours.is_empty() && differing == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_differ_and_are_32_hex_digits() {
        let (a, b) = (Token::random().unwrap(), Token::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.as_str().len(), 32);
        assert!(a.as_str().bytes().all(|b| b.is_ascii_hexdigit()));
    }

    #[test]
    fn only_the_whole_token_is_admitted() {
        let token = Token::given("abcd");
        assert!(token.admits("abcd"));
        for wrong in ["", "abc", "abce", "abcde", "ABCD"] {
            assert!(!token.admits(wrong), "{wrong}");
        }
        assert!(!Token::given("").admits(""));
    }

    #[test]
    fn a_token_is_not_printed_by_accident() {
        assert!(!format!("{:?}", Token::given("secret")).contains("secret"));
    }
}
