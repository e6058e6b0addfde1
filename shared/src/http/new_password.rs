use super::ApiError;
use crate::breaches::Breaches;
use crate::password::NewPassword;

/// Refuses a new password that is known from a breach; `field` is what the body calls it. It may take two seconds: hold no
/// connection meanwhile.
pub async fn not_breached(
    breaches: &Breaches,
    (field, password): (&'static str, &NewPassword),
) -> Result<(), ApiError> {
    if breaches.know(password.as_given().expose()).await {
        return Err(ApiError::invalid(field, "is known from a breach; choose another one"));
    }
    Ok(())
}
