//! What Stripe and BTCPay tell of whoever pays, and nobody needs for the books.

use serde_json::{Value, json};

use super::canary::Canaries;

/// Somebody with a canary for everything there is to know of a person.
pub struct Payer {
    /// Members that objects of one kind or another have.
    members: Value,
    /// What sellers write into the metadata.
    pub note: String,
    pub email: String,
    /// Text where a number is due.
    pub no_number: String,
}

impl Payer {
    pub fn new(canaries: &mut Canaries) -> Self {
        let mut of = |what: &str| canaries.plant(&format!("{what} of a payer"));
        let email = format!("{}@example.com", of("e-mail address"));
        let (name, phone, last4) = (of("name"), of("phone"), of("last digits of the card"));
        let address = json!({
            "line1": of("street"), "line2": of("floor"), "city": of("city"), "postal_code": of("postal code"),
            "state": of("state"), "country": "US",
        });
        let person = json!({ "name": name, "email": email, "phone": phone, "address": address });
        let card = json!({
            "brand": "visa", "last4": last4, "fingerprint": of("fingerprint of the card"), "exp_year": 2030,
            "wallet": { "dynamic_last4": last4 },
        });
        let members = json!({
            // Sessions, invoices, intents.
            "customer_details": person,
            "customer_email": email,
            "customer_name": name,
            "customer_address": address,
            "customer_shipping": person,
            "collected_information": { "shipping_details": person },
            "custom_fields": [{ "key": "engraving", "text": { "value": of("engraving") } }],
            "client_secret": of("client secret"),
            "url": format!("https://checkout.stripe.com/c/pay/{}", of("address of the checkout")),
            "hosted_invoice_url": format!("https://invoice.stripe.com/i/{}", of("address of the invoice")),
            "description": of("description"),
            "statement_descriptor": of("descriptor"),
            "receipt_email": email,
            "shipping": person,
            // Charges, refunds, disputes.
            "billing_details": person,
            "payment_method_details": { "type": "card", "card": card },
            "receipt_url": format!("https://pay.stripe.com/receipts/{}", of("address of the receipt")),
            "evidence": { "customer_name": name, "customer_purchase_ip": of("address on the internet"),
                "uncategorized_text": of("evidence") },
            "instructions_email": email,
            // Subscriptions, payouts, accounts.
            "cancellation_details": { "comment": of("comment"), "feedback": null, "reason": null },
            "failure_message": of("message about a failure"),
            "trace_id": { "status": "supported", "value": of("trace id") },
            "email": email,
            "contact_email": email,
            "individual": { "first_name": name, "id_number": of("social security number"), "address": address },
            "business_profile": { "name": name, "support_phone": phone, "support_address": address },
            "external_accounts": { "object": "list", "data": [{ "object": "bank_account", "last4": last4,
                "account_holder_name": name, "routing_number": of("routing number") }] },
        });
        let (note, no_number) = (of("metadata"), of("no number"));
        Self { members, note, email, no_number }
    }

    /// The payer in an object of Stripe's, whatever kind it is of.
    pub fn in_object(&self, object: &Value) -> Value {
        let mut object = object.clone();
        for (member, value) in self.members.as_object().into_iter().flatten() {
            object[member] = value.clone();
        }
        if !object["metadata"].is_object() {
            object["metadata"] = json!({});
        }
        object["metadata"]["note"] = json!(self.note);
        object["metadata"][&self.note] = json!(self.email);
        object
    }

    /// The same object with text in the places of its numbers, and a person in those of its ids.
    pub fn in_the_wrong_place(&self, object: &Value) -> Vec<Value> {
        let mut objects = Vec::new();
        for member in ["amount", "created", "id", "payment_intent", "metadata", "refunds"] {
            for value in [
                json!(format!("{} or so", self.no_number)),
                json!({ "email": self.email }),
                json!([self.email]),
            ] {
                let mut object = object.clone();
                object[member] = value;
                objects.push(object);
            }
        }
        objects
    }

    /// What a shop writes into an invoice at BTCPay.
    pub fn at_btcpay(&self, order: &Value) -> Value {
        let mut metadata = order.clone();
        for (member, from) in [
            ("buyerName", "/customer_name"),
            ("buyerAddress1", "/customer_address/line1"),
            ("buyerCity", "/customer_address/city"),
            ("buyerPhone", "/customer_details/phone"),
            ("itemDesc", "/description"),
        ] {
            metadata[member] = self.members.pointer(from).cloned().unwrap_or_default();
        }
        metadata["buyerEmail"] = json!(self.email);
        metadata["posData"] = json!({ "note": self.note });
        metadata
    }
}
