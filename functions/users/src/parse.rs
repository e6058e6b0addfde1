use shared::http::ApiError;

const MAX_PRIVY_ID_CHARS: usize = 255;
const MAX_DISPLAY_NAME_CHARS: usize = 128;

pub fn privy_id(text: &str) -> Result<&str, ApiError> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if printable && (1..=MAX_PRIVY_ID_CHARS).contains(&text.len()) {
        Ok(text)
    } else {
        let message = format!("must be 1 to {MAX_PRIVY_ID_CHARS} printable characters without spaces");
        Err(ApiError::invalid("privyId", message))
    }
}

pub fn display_name(text: &str) -> Result<&str, ApiError> {
    let text = text.trim();
    let long = text.chars().count();
    if (1..=MAX_DISPLAY_NAME_CHARS).contains(&long) && !text.chars().any(char::is_control) {
        Ok(text)
    } else {
        let message =
            format!("must be 1 to {MAX_DISPLAY_NAME_CHARS} characters, none of them a control character");
        Err(ApiError::invalid("displayName", message))
    }
}
