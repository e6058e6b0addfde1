use std::collections::BTreeMap;

/// An amount as it stands in our rows, with its unit: no rounding, and no guess at a currency's decimals.
pub fn money(amount: i64, currency: &str) -> String {
    format!("{amount} {}", unit(currency))
}

/// What amounts of the currency are counted in.
fn unit(currency: &str) -> String {
    match currency {
        "btc" => "msat".to_owned(),
        "" => "of no known currency".to_owned(),
        _ => format!("{currency} minor units"),
    }
}

/// Sums, each currency by itself.
#[derive(Default)]
pub struct Sums(BTreeMap<String, i128>);

impl Sums {
    pub fn add(&mut self, amount: i64, currency: &str) {
        *self.0.entry(currency.to_owned()).or_default() += i128::from(amount);
    }

    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(currency, sum)| format!("{sum} {}", unit(currency)))
    }
}
