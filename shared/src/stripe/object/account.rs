use super::{Fields, Unreadable};

/// A connected account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub status: AccountStatus,
    pub charges_enabled: bool,
    pub payouts_enabled: bool,
    pub details_submitted: bool,
}

/// How far it is, in the words its owner reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountStatus {
    /// Its owner has not given what Stripe asks for to begin with.
    Onboarding,
    /// Stripe is looking at it; nobody has to do anything.
    PendingVerification,
    /// It cannot be paid, or not be paid out.
    Restricted,
    Active,
    /// Active, and will not stay so unless its owner does something.
    ActionSoon,
}

impl AccountStatus {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Onboarding => "onboarding",
            Self::PendingVerification => "pending_verification",
            Self::Restricted => "restricted",
            Self::Active => "active",
            Self::ActionSoon => "action_soon",
        }
    }
}

/// What Stripe itself decided against an account, whatever its owner did.
const DECIDED: &[&str] = &["listed", "platform_paused", "under_review"];
const PENDING_VERIFICATION: &str = "requirements.pending_verification";

impl Account {
    /// Computed from the flags: capabilities may be `active` in an account that can do nothing.
    pub(super) fn read_v1(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let account = Self {
            id: fields.word("id")?,
            status: AccountStatus::Onboarding,
            charges_enabled: fields.flag("charges_enabled")?,
            payouts_enabled: fields.flag("payouts_enabled")?,
            details_submitted: fields.flag("details_submitted")?,
        };
        Ok(Self { status: account.status_v1(fields)?, ..account })
    }

    fn status_v1(&self, fields: Fields<'_>) -> Result<AccountStatus, Unreadable> {
        let requirements = fields.within(&["requirements"]);
        let future = fields.within(&["future_requirements"]);
        // Before API version 2019-02-19 the requirements were called so.
        let reason = match requirements.or_else(|| fields.within(&["verification"])) {
            Some(requirements) => requirements.optional_word("disabled_reason")?,
            None => None,
        };
        let is_decided = |reason: &str| {
            DECIDED.contains(&reason) || reason == "rejected" || reason.starts_with("rejected.")
        };
        let is_pending = reason.as_deref() == Some(PENDING_VERIFICATION);
        Ok(if reason.as_deref().is_some_and(is_decided) {
            AccountStatus::Restricted
        } else if !self.details_submitted {
            AccountStatus::Onboarding
        } else if is_pending {
            AccountStatus::PendingVerification
        } else if reason.is_some() || names_any(requirements, "past_due") {
            AccountStatus::Restricted
        } else if !self.charges_enabled || !self.payouts_enabled {
            AccountStatus::PendingVerification
        } else if [requirements, future].into_iter().any(has_deadline) || names_any(future, "currently_due") {
            AccountStatus::ActionSoon
        } else {
            AccountStatus::Active
        })
    }

    /// Made by API v2: what counts is the capability the account was made for. Parts that were not asked for are null.
    pub(super) fn read_v2(fields: Fields<'_>) -> Result<Self, Unreadable> {
        let transfers = capability(fields, "recipient", &["stripe_balance", "stripe_transfers"])?;
        let payouts = capability(fields, "recipient", &["stripe_balance", "payouts"])?;
        let cards = capability(fields, "merchant", &["card_payments"])?;
        let terms = fields.within(&["identity", "attestations", "terms_of_service", "account"]);
        let details_submitted = terms.is_some_and(|terms| terms.has("date"));
        let is_asked = names_any(fields.within(&["requirements"]), "entries");
        let status = match transfers.as_deref().or(cards.as_deref()) {
            _ if fields.optional_flag("closed")?.unwrap_or(false) => AccountStatus::Restricted,
            Some("active") if has_minimum_deadline(fields)? => AccountStatus::ActionSoon,
            Some("active") => AccountStatus::Active,
            None => AccountStatus::Onboarding,
            Some(_) if !details_submitted && is_asked => AccountStatus::Onboarding,
            Some("pending") => AccountStatus::PendingVerification,
            Some(_) => AccountStatus::Restricted,
        };
        let is_active = |status: &Option<String>| status.as_deref() == Some("active");
        Ok(Self {
            id: fields.word("id")?,
            status,
            charges_enabled: is_active(&cards),
            payouts_enabled: is_active(if payouts.is_some() { &payouts } else { &transfers }),
            details_submitted,
        })
    }
}

/// The status of a capability, if the account has it.
fn capability(account: Fields<'_>, of: &str, path: &[&str]) -> Result<Option<String>, Unreadable> {
    let capabilities = account.within(&["configuration", of, "capabilities"]);
    match capabilities.and_then(|capabilities| capabilities.within(path)) {
        Some(capability) => capability.optional_word("status"),
        None => Ok(None),
    }
}

fn names_any(requirements: Option<Fields<'_>>, list: &str) -> bool {
    requirements.is_some_and(|requirements| requirements.has_entries(list))
}

fn has_deadline(requirements: Option<Fields<'_>>) -> bool {
    requirements.is_some_and(|requirements| requirements.has("current_deadline"))
}

/// What is due some day has no date, and is no reason to worry anybody.
fn has_minimum_deadline(account: Fields<'_>) -> Result<bool, Unreadable> {
    let Some(deadline) = account.within(&["requirements", "summary", "minimum_deadline"]) else {
        return Ok(false);
    };
    let status = deadline.optional_word("status")?;
    Ok(deadline.has("time") || status.is_some_and(|status| status != "eventually_due"))
}

#[cfg(test)]
mod tests;
