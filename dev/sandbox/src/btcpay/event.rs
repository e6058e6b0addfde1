//! What a webhook is told, and the exact bytes of it.

use serde_json::{Value, json};

use crate::seed::Seed;

pub(crate) type Members = Vec<(&'static str, Value)>;

/// The type of an event and the members of its own.
pub(crate) type Happening = (&'static str, Members);

/// Something that happened to an invoice.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) kind: &'static str,
    pub(crate) store: String,
    pub(crate) invoice: String,
    pub(crate) timestamp: i64,
    pub(crate) members: Members,
}

/// Which delivery of it: the first is its own original.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) webhook: String,
    pub(crate) delivery: String,
    pub(crate) original: String,
}

impl Attempt {
    pub(crate) fn is_redelivery(&self) -> bool {
        self.delivery != self.original
    }
}

impl Event {
    /// Indented JSON whose members stand in an order drawn anew for each delivery: nobody promises one.
    pub(crate) fn body(&self, attempt: &Attempt, seed: Seed) -> String {
        let mut members = vec![
            ("deliveryId", json!(attempt.delivery)),
            ("webhookId", json!(attempt.webhook)),
            ("originalDeliveryId", json!(attempt.original)),
            ("isRedelivery", json!(attempt.is_redelivery())),
            ("type", json!(self.kind)),
            ("timestamp", json!(self.timestamp)),
            ("storeId", json!(self.store)),
            ("invoiceId", json!(self.invoice)),
        ];
        members.extend(self.members.iter().cloned());
        members.sort_by_cached_key(|(name, _)| seed.bytes(&format!("{} {name}", attempt.delivery)));
        let written: Vec<String> = members.iter().map(|(name, value)| written(name, value)).collect();
        format!("{{\n{}\n}}", written.join(",\n"))
    }
}

/// A line break in the text of a value is escaped, so every real one is the indentation's.
fn written(name: &str, value: &Value) -> String {
    let value = serde_json::to_string_pretty(value).unwrap_or_default().replace('\n', "\n  ");
    format!("  \"{name}\": {value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_indented_and_its_order_is_the_delivery_s() {
        let event = Event {
            kind: "InvoiceSettled",
            store: "s".into(),
            invoice: "i".into(),
            timestamp: 1_700_000_000,
            members: vec![("metadata", json!({"orderId": "a\nb"}))],
        };
        let attempt = |delivery: &str| Attempt {
            webhook: "w".into(),
            delivery: delivery.into(),
            original: "d1".into(),
        };
        let (first, second) = (event.body(&attempt("d1"), Seed(1)), event.body(&attempt("d2"), Seed(1)));
        let parsed: Value = serde_json::from_str(&first).unwrap();
        assert_eq!(parsed["metadata"]["orderId"], "a\nb");
        assert_eq!((&parsed["isRedelivery"], parsed.as_object().unwrap().len()), (&json!(false), 9));
        assert!(first.starts_with("{\n  \"") && first.contains("\n    \"orderId\": "), "{first}");
        let order = |body: &str| -> Vec<String> {
            body.lines()
                .filter_map(|line| line.strip_prefix("  \"")?.split('"').next().map(str::to_owned))
                .collect()
        };
        assert_ne!(order(&first), order(&second));
    }
}
