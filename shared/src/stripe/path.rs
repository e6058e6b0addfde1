use std::fmt;

/// What can be read by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Account,
    ApplicationFee,
    Charge,
    CheckoutSession,
    Dispute,
    FraudWarning,
    Invoice,
    PaymentIntent,
    Payout,
    Refund,
    Subscription,
    Transfer,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Account,
        Self::ApplicationFee,
        Self::Charge,
        Self::CheckoutSession,
        Self::Dispute,
        Self::FraudWarning,
        Self::Invoice,
        Self::PaymentIntent,
        Self::Payout,
        Self::Refund,
        Self::Subscription,
        Self::Transfer,
    ];

    /// What such an object says it is, in its member `object`.
    pub const fn object(self) -> &'static str {
        match self {
            Self::Account => "account",
            Self::ApplicationFee => "application_fee",
            Self::Charge => "charge",
            Self::CheckoutSession => "checkout.session",
            Self::Dispute => "dispute",
            Self::FraudWarning => "radar.early_fraud_warning",
            Self::Invoice => "invoice",
            Self::PaymentIntent => "payment_intent",
            Self::Payout => "payout",
            Self::Refund => "refund",
            Self::Subscription => "subscription",
            Self::Transfer => "transfer",
        }
    }

    /// The kind of an object, by its member `object`.
    pub fn of_object(object: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.object() == object)
    }

    const fn collection(self) -> &'static str {
        match self {
            Self::Account => "accounts",
            Self::ApplicationFee => "application_fees",
            Self::Charge => "charges",
            Self::CheckoutSession => "checkout/sessions",
            Self::Dispute => "disputes",
            Self::FraudWarning => "radar/early_fraud_warnings",
            Self::Invoice => "invoices",
            Self::PaymentIntent => "payment_intents",
            Self::Payout => "payouts",
            Self::Refund => "refunds",
            Self::Subscription => "subscriptions",
            Self::Transfer => "transfers",
        }
    }

    /// What an object leaves out unless asked.
    const fn query(self) -> &'static str {
        match self {
            Self::Charge => "?expand[]=refunds",
            Self::Invoice => "?expand[]=payments",
            _ => "",
        }
    }
}

/// An object, where `GET` finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    kind: Kind,
    id: String,
}

/// Not an id: empty, too long, or with a character no id has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an id has 1 to 255 letters, digits or _")
    }
}

impl std::error::Error for NotAnId {}

pub(super) fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=255).contains(&text.len()) && text.bytes().all(is_plain)
}

impl Path {
    pub fn new(kind: Kind, id: &str) -> Result<Self, NotAnId> {
        if is_id(id) { Ok(Self { kind, id: id.to_owned() }) } else { Err(NotAnId) }
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn text(&self) -> String {
        format!("/v1/{}/{}{}", self.kind.collection(), self.id, self.kind.query())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_path_and_is_found_by_its_name() {
        for kind in Kind::ALL {
            assert_eq!(Kind::of_object(kind.object()), Some(kind));
            let path = Path::new(kind, "id_1").unwrap().text();
            assert!(path.starts_with("/v1/") && path.contains(&format!("{}/id_1", kind.collection())));
        }
        let session = Path::new(Kind::CheckoutSession, "cs_test_a1").unwrap();
        assert_eq!(session.text(), "/v1/checkout/sessions/cs_test_a1");
        assert_eq!(Path::new(Kind::Charge, "py_1").unwrap().text(), "/v1/charges/py_1?expand[]=refunds");
        assert_eq!(Kind::of_object("balance"), None);
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_id() {
        let long = "a".repeat(256);
        for id in ["", "../accounts", "a/b", "a?b", "a#b", "a b", "a%2fb", "a\r\nb", "ä", &long] {
            assert_eq!(Path::new(Kind::Refund, id), Err(NotAnId), "{id}");
        }
        assert!(Path::new(Kind::Refund, &long[1..]).is_ok());
    }
}
