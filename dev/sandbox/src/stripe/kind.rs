//! The kinds of objects: Stripe's name, how ids begin, and the name they are counted under.

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Session,
    Intent,
    Charge,
    Refund,
    Dispute,
    Payout,
    Account,
    Customer,
    Subscription,
    Invoice,
    BalanceTransaction,
    ApplicationFee,
    FeeRefund,
    Transfer,
    TransferReversal,
    FraudWarning,
}

impl Kind {
    /// `object`, the beginning of an id and the random characters behind it, and the name in the counts.
    fn names(self) -> (&'static str, &'static str, usize, &'static str) {
        match self {
            Self::Session => ("checkout.session", "cs_test_a1", 56, "checkout_session"),
            Self::Intent => ("payment_intent", "pi_3", 23, "payment_intent"),
            Self::Charge => ("charge", "ch_3", 23, "charge"),
            Self::Refund => ("refund", "re_3", 23, "refund"),
            Self::Dispute => ("dispute", "dp_1", 23, "dispute"),
            Self::Payout => ("payout", "po_1", 23, "payout"),
            Self::Account => ("account", "acct_1", 15, "account"),
            Self::Customer => ("customer", "cus_", 14, "customer"),
            Self::Subscription => ("subscription", "sub_1", 23, "subscription"),
            Self::Invoice => ("invoice", "in_1", 23, "invoice"),
            Self::BalanceTransaction => ("balance_transaction", "txn_3", 23, "balance_transaction"),
            Self::ApplicationFee => ("application_fee", "fee_1", 23, "application_fee"),
            Self::FeeRefund => ("fee_refund", "fr_1", 23, "fee_refund"),
            Self::Transfer => ("transfer", "tr_3", 23, "transfer"),
            Self::TransferReversal => ("transfer_reversal", "trr_1", 23, "transfer_reversal"),
            Self::FraudWarning => ("radar.early_fraud_warning", "issfr_1", 23, "early_fraud_warning"),
        }
    }

    pub(crate) fn object(self) -> &'static str {
        self.names().0
    }

    pub(crate) fn prefix(self) -> (&'static str, usize) {
        let (_, prefix, more, _) = self.names();
        (prefix, more)
    }

    pub(crate) fn counted(self) -> &'static str {
        self.names().3
    }

    /// The member that names the object an object of this kind is listed in.
    pub(crate) fn parent(self) -> Option<&'static str> {
        match self {
            Self::Charge => Some("payment_intent"),
            Self::Refund => Some("charge"),
            Self::FeeRefund => Some("fee"),
            Self::TransferReversal => Some("transfer"),
            Self::Session
            | Self::Intent
            | Self::Dispute
            | Self::Payout
            | Self::Account
            | Self::Customer
            | Self::Subscription
            | Self::Invoice
            | Self::BalanceTransaction
            | Self::ApplicationFee
            | Self::Transfer
            | Self::FraudWarning => None,
        }
    }
}
