//! Where a session is held, as its holder says.

use super::ApiError;
use crate::session::{Device, Platform};

const MAX_ID_CHARS: usize = 128;

/// What came with a sign-in: `deviceId`, 1 to 128 characters of the client's own choosing, and `platform`.
pub fn device(id: Option<&str>, platform: Option<Platform>) -> Result<Device<'_>, ApiError> {
    let fits = |id: &str| {
        let count = id.chars().take(MAX_ID_CHARS + 1).count();
        (1..=MAX_ID_CHARS).contains(&count) && !id.contains(char::is_control)
    };
    if id.is_some_and(|id| !fits(id)) {
        return Err(ApiError::invalid("deviceId", "must be 1 to 128 printable characters"));
    }
    Ok(Device { id, platform })
}

#[cfg(test)]
mod tests {
    use super::device;

    #[test]
    fn a_device_is_named_by_1_to_128_characters_that_can_be_printed() {
        for fits in [None, Some("a"), Some("Grace's phone ☎"), Some(&*"é".repeat(128))] {
            assert!(device(fits, None).is_ok(), "{fits:?}");
        }
        for wrong in ["", "a\0", "a\nb", "\u{7f}", &"é".repeat(129)] {
            assert!(device(Some(wrong), None).is_err(), "{wrong:?}");
        }
    }
}
