//! Request bodies as Go's `protojson` reads them: unknown fields refused, both spellings of a name, `null` for
//! the default, bytes in either base64 alphabet, 64-bit numbers as strings or numbers.

use data_encoding::BASE64_NOPAD;
use serde_json::{Map, Value};

use super::errors::LndError;

pub(crate) struct Fields<'a> {
    raw: &'a str,
    values: Map<String, Value>,
}

impl<'a> Fields<'a> {
    /// `known` holds proto names; their camelCase is accepted too. An absent body is an empty message.
    pub(crate) fn parse(body: &'a [u8], known: &[&str]) -> Result<Self, LndError> {
        let syntax = |line, column| {
            LndError::invalid(format!("proto: syntax error (line {line}:{column}): unexpected token"))
        };
        let raw = std::str::from_utf8(body).map_err(|_| LndError::invalid("proto: invalid UTF-8"))?;
        let parsed = match raw.trim() {
            "" => Value::Object(Map::new()),
            _ => serde_json::from_str(raw).map_err(|e| syntax(e.line(), e.column()))?,
        };
        let Value::Object(parsed) = parsed else { return Err(syntax(1, 1)) };
        let mut fields = Self { raw, values: Map::new() };
        for (name, value) in parsed {
            let Some(proto) = known.iter().find(|known| name == **known || name == camel_case(known)) else {
                return Err(fields.error(&name, &format!("unknown field \"{name}\"")));
            };
            if !value.is_null() {
                fields.values.insert((*proto).to_owned(), value);
            }
        }
        Ok(fields)
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(Vec::new()) };
        let standard = |text: &str| text.trim_end_matches('=').replace('-', "+").replace('_', "/");
        let decoded = value.as_str().and_then(|text| BASE64_NOPAD.decode(standard(text).as_bytes()).ok());
        decoded.ok_or_else(|| self.wrong_type("bytes", name, value))
    }

    pub(crate) fn string(&self, name: &str) -> Result<String, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(String::new()) };
        value.as_str().map(str::to_owned).ok_or_else(|| self.wrong_type("string", name, value))
    }

    pub(crate) fn bool(&self, name: &str) -> Result<bool, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(false) };
        value.as_bool().ok_or_else(|| self.wrong_type("bool", name, value))
    }

    pub(crate) fn uint64(&self, name: &str) -> Result<u64, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(0) };
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok());
        number.ok_or_else(|| self.wrong_type("uint64", name, value))
    }

    pub(crate) fn int64(&self, name: &str) -> Result<i64, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(0) };
        let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
        number.ok_or_else(|| self.wrong_type("int64", name, value))
    }

    pub(crate) fn strings(&self, name: &str) -> Result<Vec<String>, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(Vec::new()) };
        let text = |item: &Value| item.as_str().map(str::to_owned);
        let list = value.as_array().and_then(|list| list.iter().map(text).collect::<Option<Vec<_>>>());
        list.ok_or_else(|| self.wrong_type("string", name, value))
    }

    /// A repeated message of two strings.
    pub(crate) fn pairs(&self, name: &str, known: [&str; 2]) -> Result<Vec<(String, String)>, LndError> {
        let Some(value) = self.values.get(name) else { return Ok(Vec::new()) };
        let list = value.as_array().ok_or_else(|| self.wrong_type("message", name, value))?;
        let pair = |item: &Value| {
            let text = item.to_string();
            let fields = Fields::parse(text.as_bytes(), &known)?;
            Ok((fields.string(known[0])?, fields.string(known[1])?))
        };
        list.iter().map(pair).collect()
    }

    fn wrong_type(&self, kind: &str, name: &str, value: &Value) -> LndError {
        let name = camel_case(name);
        self.error(&name, &format!("invalid value for {kind} field {name}: {value}"))
    }

    /// With the place, for a human; nobody should match on it.
    fn error(&self, name: &str, what: &str) -> LndError {
        let before =
            self.raw.find(&format!("\"{name}\"")).and_then(|at| self.raw.get(..at)).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        LndError::invalid(format!("proto: (line {line}:{column}): {what}"))
    }
}

fn camel_case(name: &str) -> String {
    let mut upper = false;
    let mut out = String::new();
    for c in name.chars() {
        match c {
            '_' => upper = true,
            c if upper => {
                out.push(c.to_ascii_uppercase());
                upper = false;
            }
            c => out.push(c),
        }
    }
    out
}
