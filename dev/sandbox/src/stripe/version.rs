//! API versions: which are known, and what objects look like under an older one.

use serde_json::Value;

/// What the account is pinned to until a test says otherwise.
pub const API_VERSION: &str = "2026-10-28.endive";

const KNOWN: [&str; 21] = [
    "2020-08-27",
    "2022-08-01",
    "2022-11-15",
    "2023-08-16",
    "2023-10-16",
    "2024-04-10",
    "2024-06-20",
    "2024-09-30.acacia",
    "2024-12-18.acacia",
    "2025-02-24.acacia",
    "2025-03-31.basil",
    "2025-04-30.basil",
    "2025-05-28.basil",
    "2025-06-30.basil",
    "2025-07-30.basil",
    "2025-08-27.basil",
    "2025-09-30.clover",
    "2025-10-29.clover",
    "2025-11-17.clover",
    "2026-09-30.endive",
    API_VERSION,
];

/// The charges of an intent and the refunds of a charge are no longer sent along from here on.
const WITHOUT_LISTS: &str = "2022-11-15";

/// Invoices and subscriptions look as they do today from here on.
const BASIL: &str = "2025-03-31.basil";

pub(crate) fn is_known(version: &str) -> bool {
    KNOWN.contains(&version)
}

/// Objects are held with the members of every version: what this one does not show is taken out, at whatever depth,
/// but for what the caller asked to have included.
pub(crate) fn render(value: &mut Value, version: &str, included: &[&str]) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| render(one, version, included)),
        Value::Object(members) => {
            for name in hidden(members.get("object").and_then(Value::as_str), version) {
                if !included.contains(name) || !INCLUDABLE.contains(name) {
                    members.remove(*name);
                }
            }
            members.values_mut().for_each(|one| render(one, version, included));
        }
        _ => {}
    }
}

const INCLUDABLE: [&str; 3] = ["refunds", "payments", "line_items"];

// Versions begin with their date, and so sort as text.
fn hidden(object: Option<&str>, version: &str) -> &'static [&'static str] {
    let (lists, basil) = (version < WITHOUT_LISTS, version >= BASIL);
    match object {
        Some("charge") if !lists => &["refunds"],
        Some("payment_intent") if !lists => &["charges"],
        Some("checkout.session") => &["line_items"],
        Some("invoice") if basil => &["subscription", "payment_intent", "charge", "paid", "payments"],
        Some("invoice") => &["parent", "payments"],
        Some("subscription") if basil => &["current_period_end", "current_period_start"],
        Some("subscription_item") if !basil => &["current_period_end", "current_period_start"],
        _ => &[],
    }
}
