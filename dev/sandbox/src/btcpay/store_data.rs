//! The settings of a store: one table of members, defaults and checks.

use serde_json::{Map, Value};

use super::errors::Refusal;

#[derive(Clone, Copy)]
enum Kind {
    Name,
    /// Text or null.
    Text,
    /// An absolute URI or null.
    Link,
    Currency,
    Bool,
    /// A number of something, in this range.
    Number(f64, f64),
    OneOf(&'static [&'static str]),
    /// Whatever it is, it is kept.
    Any,
}

const NAME_LENGTH: usize = 50;
const DAYS_24: f64 = 24.0 * 86_400.0;
const SPEEDS: &[&str] = &["HighSpeed", "MediumSpeed", "LowSpeed", "LowMediumSpeed"];
const FEES: &[&str] = &["MultiplePaymentsOnly", "Always", "Never"];

/// Name, kind, and the default as JSON.
const MEMBERS: [(&str, Kind, &str); 38] = [
    ("name", Kind::Name, "null"),
    ("website", Kind::Link, "null"),
    ("supportUrl", Kind::Text, "null"),
    ("logoUrl", Kind::Text, "null"),
    ("cssUrl", Kind::Text, "null"),
    ("paymentSoundUrl", Kind::Text, "null"),
    ("brandColor", Kind::Text, "null"),
    ("applyBrandColorToBackend", Kind::Bool, "false"),
    ("defaultCurrency", Kind::Currency, "\"USD\""),
    ("additionalTrackedRates", Kind::Any, "[]"),
    ("invoiceExpiration", Kind::Number(60.0, DAYS_24), "900"),
    ("refundBOLT11Expiration", Kind::Number(0.0, 365.0 * 10.0), "30"),
    ("displayExpirationTimer", Kind::Number(60.0, DAYS_24), "300"),
    ("monitoringExpiration", Kind::Number(600.0, DAYS_24), "86400"),
    ("speedPolicy", Kind::OneOf(SPEEDS), "\"MediumSpeed\""),
    ("lightningDescriptionTemplate", Kind::Text, "\"Paid to {StoreName} (Order ID: {OrderId})\""),
    ("paymentTolerance", Kind::Number(0.0, 100.0), "0"),
    ("archived", Kind::Bool, "false"),
    ("anyoneCanCreateInvoice", Kind::Bool, "false"),
    ("receipt", Kind::Any, r#"{"enabled":true,"showQR":null,"showPayments":null}"#),
    ("lightningAmountInSatoshi", Kind::Bool, "false"),
    ("lightningPrivateRouteHints", Kind::Bool, "false"),
    ("onChainWithLnInvoiceFallback", Kind::Bool, "false"),
    ("redirectAutomatically", Kind::Bool, "false"),
    ("showRecommendedFee", Kind::Bool, "true"),
    ("recommendedFeeBlockTarget", Kind::Number(1.0, 1008.0), "1"),
    ("defaultLang", Kind::Text, "\"en\""),
    ("htmlTitle", Kind::Text, "null"),
    ("networkFeeMode", Kind::OneOf(FEES), "\"MultiplePaymentsOnly\""),
    ("payJoinEnabled", Kind::Bool, "false"),
    ("autoDetectLanguage", Kind::Bool, "false"),
    ("showPayInWalletButton", Kind::Bool, "true"),
    ("showStoreHeader", Kind::Bool, "true"),
    ("celebratePayment", Kind::Bool, "true"),
    ("playSoundOnPayment", Kind::Bool, "false"),
    ("lazyPaymentMethods", Kind::Bool, "false"),
    ("defaultPaymentMethod", Kind::Text, "null"),
    ("paymentMethodCriteria", Kind::Any, "[]"),
];

impl Kind {
    /// What is wrong with the value, if anything.
    fn refuses(self, value: &Value) -> Option<String> {
        let no = |message: &str| Some(message.to_owned());
        match self {
            Self::Name => match value.as_str().map(|name| name.encode_utf16().count()) {
                None | Some(0) => no("a store has a name"),
                Some(1..=NAME_LENGTH) => None,
                Some(_) => Some(format!("a name has 1 to {NAME_LENGTH} characters")),
            },
            Self::Text => (!value.is_string() && !value.is_null()).then(|| "text is expected".into()),
            Self::Link => match value {
                Value::Null => None,
                Value::String(text) if text.is_empty() || url::Url::parse(text).is_ok() => None,
                _ => no("this is no absolute URL"),
            },
            Self::Currency => value.as_str().is_none_or(str::is_empty).then(|| "no currency".into()),
            Self::Bool => (!value.is_boolean()).then(|| "true or false is expected".into()),
            Self::Number(least, most) => {
                let fits = value.as_f64().is_some_and(|number| (least..=most).contains(&number));
                (!fits).then(|| format!("a number from {least} to {most} is expected"))
            }
            Self::OneOf(known) => {
                let fits = value.as_str().is_some_and(|text| known.contains(&text));
                (!fits).then(|| format!("one of {} is expected", known.join(", ")))
            }
            Self::Any => None,
        }
    }
}

/// What a store is set to by this request; what the request leaves out or sets to null gets its default, when it
/// changes a store as when it makes one.
pub(crate) fn settings(request: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let mut settings = Map::new();
    let mut problems = Vec::new();
    for (name, kind, default) in MEMBERS {
        let given = request.get(name).filter(|value| !value.is_null()).cloned();
        let value = given.unwrap_or_else(|| serde_json::from_str(default).unwrap_or_default());
        match kind.refuses(&value) {
            Some(problem) => problems.push((name.to_owned(), problem)),
            None => _ = settings.insert(name.to_owned(), value),
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(Refusal::Invalid(problems)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_default_is_json_and_allowed() {
        for (name, kind, default) in MEMBERS {
            let value: Value = serde_json::from_str(default).unwrap();
            assert!(name == "name" || kind.refuses(&value).is_none(), "{name}");
        }
        let settings = settings(json!({"name": "x"}).as_object().unwrap()).unwrap();
        assert_eq!(settings.len(), MEMBERS.len());
    }
}
