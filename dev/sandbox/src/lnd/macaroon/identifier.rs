//! The bakery's identifier: `03`, then
//! `MacaroonId { bytes nonce = 1; bytes storageId = 2; repeated Op { string entity = 1; repeated string actions = 2 } ops = 3 }`.

use super::wire::{put_varint, take, varint};

const BAKERY_VERSION: u8 = 3;

/// Protobuf's wire type for bytes, strings and messages.
const LENGTH_DELIMITED: u64 = 2;

/// (entity, action) pairs.
pub(crate) type Ops = Vec<(String, String)>;

pub(crate) struct Identifier {
    pub(crate) nonce: Vec<u8>,
    pub(crate) root_key_id: String,
    pub(crate) ops: Ops,
}

impl Identifier {
    pub(crate) fn encode(mut self) -> Vec<u8> {
        // The bakery writes operations sorted, each once, one message per entity.
        self.ops.sort();
        self.ops.dedup();
        let mut out = vec![BAKERY_VERSION];
        put(&mut out, 1, &self.nonce);
        put(&mut out, 2, self.root_key_id.as_bytes());
        for same_entity in self.ops.chunk_by(|a, b| a.0 == b.0) {
            let mut op = Vec::new();
            for (index, (entity, action)) in same_entity.iter().enumerate() {
                if index == 0 {
                    put(&mut op, 1, entity.as_bytes());
                }
                put(&mut op, 2, action.as_bytes());
            }
            put(&mut out, 3, &op);
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let (&BAKERY_VERSION, body) = bytes.split_first().ok_or("empty macaroon id")? else {
            return Err(format!("invalid ID: {bytes:?}"));
        };
        let mut identifier = Self { nonce: Vec::new(), root_key_id: String::new(), ops: Vec::new() };
        for (number, data) in message(body)? {
            match number {
                1 => identifier.nonce = data.to_vec(),
                2 => identifier.root_key_id = text(data),
                3 => {
                    let fields = message(data)?;
                    let entity = fields.iter().find(|f| f.0 == 1).map(|f| text(f.1)).unwrap_or_default();
                    let actions = fields.iter().filter(|f| f.0 == 2);
                    identifier.ops.extend(actions.map(|f| (entity.clone(), text(f.1))));
                }
                _ => {}
            }
        }
        Ok(identifier)
    }
}

fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

fn put(out: &mut Vec<u8>, number: u64, data: &[u8]) {
    put_varint(out, number << 3 | LENGTH_DELIMITED);
    put_varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn message(mut data: &[u8]) -> Result<Vec<(u64, &[u8])>, String> {
    let mut fields = Vec::new();
    while !data.is_empty() {
        let field = varint(&mut data).filter(|tag| tag & 7 == LENGTH_DELIMITED).and_then(|tag| {
            let length = varint(&mut data)?;
            Some((tag >> 3, take(&mut data, length)?))
        });
        fields.push(field.ok_or("proto: cannot parse invalid wire-format data")?);
    }
    Ok(fields)
}
