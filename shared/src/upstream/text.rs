//! What providers say, made fit for a log.

/// Longer than any sentence worth reading.
const MAX_DETAIL: usize = 200;
/// Keys, macaroons and hashes are longer than words are. Marks of a sentence end a word; those of a URL do not.
const LONGEST_WORD: usize = 38;
const REDACTED: &str = "[…]";

/// One line of printable characters without the secrets of the call, nor anything that looks like one.
pub(super) fn loggable<S: AsRef<str>>(said: &str, secrets: &[S]) -> String {
    let mut text = said.to_owned();
    for secret in secrets.iter().map(AsRef::as_ref).filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, REDACTED);
    }
    let mut line = String::new();
    for word in text.split_inclusive(|c: char| !is_of_a_key(c)) {
        let (word, mark) = match word.char_indices().next_back() {
            Some((at, last)) if !is_of_a_key(last) => (&word[..at], Some(last)),
            _ => (word, None),
        };
        line.push_str(if word.len() > LONGEST_WORD { REDACTED } else { word });
        line.extend(mark.map(|mark| if mark.is_control() { ' ' } else { mark }));
    }
    let printable = line.chars().filter(|c| *c == '…' || *c == ' ' || c.is_ascii_graphic());
    printable.take(MAX_DETAIL).collect()
}

/// Hex, base64 in both alphabets, base58.
fn is_of_a_key(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::loggable;

    const NOTHING: &[&str] = &[];

    #[test]
    fn a_sentence_is_kept_as_it_is() {
        let said = "Store name is required (at most 50 characters); see https://docs.example/stores";
        assert_eq!(loggable(said, NOTHING), said);
    }

    #[test]
    fn secrets_and_what_looks_like_one_are_taken_out() {
        let macaroon = "0201036c6e64".repeat(9);
        let said =
            format!("cannot use type=lnd-rest;macaroon={macaroon}; key short-key-1, words abandon ability");
        let shown = loggable(&said, &["short-key-1", "", "abandon ability"]);
        assert_eq!(shown, "cannot use type=lnd-rest;macaroon=[…]; key […], words […]");
    }

    #[test]
    fn a_page_becomes_one_short_line() {
        let shown = loggable(&"<p>\r\n\tbusy\u{7} — déjà vu</p>".repeat(40), NOTHING);
        assert!(shown.starts_with("<p>   busy   dj vu</p><p>"), "{shown}");
        assert_eq!(shown.chars().count(), 200);
    }
}
