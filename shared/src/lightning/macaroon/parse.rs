//! From bytes to operations.
//!
//! Where a lenient parser would choose between two readings (a field given twice, an unknown field, a longer form
//! of a number), this one refuses: the node that honours the macaroon might choose the other.

use super::{MacaroonError, Op};

pub(super) const VERSION_2: u8 = 2;
/// `bakery.Version3`, the first byte of every identifier LND makes.
pub(super) const BAKERY_VERSION_3: u8 = 3;
const SIGNATURE_LENGTH: usize = 32;

/// Field types of macaroon v2.
pub(super) mod field {
    pub const END: u8 = 0;
    pub const LOCATION: u8 = 1;
    pub const IDENTIFIER: u8 = 2;
    pub const VERIFICATION_ID: u8 = 4;
    pub const SIGNATURE: u8 = 6;
}

/// Protobuf tags: field number and wire type 2 (length-delimited), of `MacaroonId` and `Op`.
pub(super) mod tag {
    const LENGTH_DELIMITED: u8 = 2;
    pub const NONCE: u8 = 1 << 3 | LENGTH_DELIMITED;
    pub const STORAGE_ID: u8 = 2 << 3 | LENGTH_DELIMITED;
    pub const OPS: u8 = 3 << 3 | LENGTH_DELIMITED;
    pub const OP_ENTITY: u8 = 1 << 3 | LENGTH_DELIMITED;
    pub const OP_ACTIONS: u8 = 2 << 3 | LENGTH_DELIMITED;
}

/// What the macaroon allows. The whole input must be one macaroon, to the last byte.
pub(super) fn operations(macaroon: &[u8]) -> Result<Vec<Op>, MacaroonError> {
    let mut rest = Reader(macaroon);
    if rest.byte()? != VERSION_2 {
        return Err(MacaroonError::UnsupportedVersion);
    }
    rest.optional(field::LOCATION)?;
    let identifier = rest.field(field::IDENTIFIER)?;
    rest.expect(field::END)?;
    while rest.peek() != Some(field::END) {
        rest.optional(field::LOCATION)?;
        rest.field(field::IDENTIFIER)?;
        if rest.peek() == Some(field::VERIFICATION_ID) {
            return Err(MacaroonError::ThirdPartyCaveat);
        }
        rest.expect(field::END)?;
    }
    rest.expect(field::END)?;
    let signature = rest.field(field::SIGNATURE)?;
    if signature.len() != SIGNATURE_LENGTH || !rest.is_empty() {
        return Err(MacaroonError::Malformed);
    }
    from_identifier(identifier).map_err(|error| match error {
        // Inside the identifier there is no macaroon left to be malformed: it is another maker's.
        MacaroonError::Malformed => MacaroonError::NotFromLnd,
        other => other,
    })
}

fn from_identifier(identifier: &[u8]) -> Result<Vec<Op>, MacaroonError> {
    let mut rest = Reader(identifier);
    rest.expect(BAKERY_VERSION_3)?;
    let (mut nonce, mut storage_id) = (None, None);
    let mut ops = Vec::new();
    while !rest.is_empty() {
        let (tag, value) = rest.tagged()?;
        match tag {
            tag::NONCE => once(&mut nonce, value)?,
            tag::STORAGE_ID => once(&mut storage_id, value)?,
            tag::OPS => from_op(value, &mut ops)?,
            _ => return Err(MacaroonError::Malformed),
        }
    }
    match (nonce, storage_id) {
        (Some(_), Some(_)) if ops.is_empty() => Err(MacaroonError::NoOperations),
        (Some(_), Some(_)) => Ok(ops),
        _ => Err(MacaroonError::Malformed),
    }
}

/// One entity with its actions becomes one [`Op`] for each action.
fn from_op(op: &[u8], ops: &mut Vec<Op>) -> Result<(), MacaroonError> {
    let mut rest = Reader(op);
    let mut entity = None;
    let mut actions = Vec::new();
    while !rest.is_empty() {
        let (tag, value) = rest.tagged()?;
        let value = str::from_utf8(value).map_err(|_| MacaroonError::Malformed)?;
        match tag {
            tag::OP_ENTITY => once(&mut entity, value)?,
            tag::OP_ACTIONS => actions.push(value),
            _ => return Err(MacaroonError::Malformed),
        }
    }
    let entity = entity.filter(|_| !actions.is_empty()).ok_or(MacaroonError::Malformed)?;
    ops.extend(actions.into_iter().map(|action| Op { entity: entity.to_owned(), action: action.to_owned() }));
    Ok(())
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), MacaroonError> {
    if slot.replace(value).is_some() { Err(MacaroonError::Malformed) } else { Ok(()) }
}

/// What has not been read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn byte(&mut self) -> Result<u8, MacaroonError> {
        let (&first, rest) = self.0.split_first().ok_or(MacaroonError::Malformed)?;
        self.0 = rest;
        Ok(first)
    }

    fn expect(&mut self, wanted: u8) -> Result<(), MacaroonError> {
        if self.byte()? == wanted { Ok(()) } else { Err(MacaroonError::Malformed) }
    }

    /// Bytes behind their length.
    fn bytes(&mut self) -> Result<&'a [u8], MacaroonError> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(MacaroonError::Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A varint of at most two bytes (16383, more than a whole macaroon) in its shortest form.
    fn length(&mut self) -> Result<usize, MacaroonError> {
        match self.byte()? {
            one @ ..0x80 => Ok(one.into()),
            low => match self.byte()? {
                high @ 1..0x80 => Ok(usize::from(low & 0x7f) | usize::from(high) << 7),
                _ => Err(MacaroonError::Malformed),
            },
        }
    }

    fn field(&mut self, wanted: u8) -> Result<&'a [u8], MacaroonError> {
        self.expect(wanted)?;
        self.bytes()
    }

    fn optional(&mut self, wanted: u8) -> Result<(), MacaroonError> {
        if self.peek() == Some(wanted) { self.field(wanted).map(drop) } else { Ok(()) }
    }

    fn tagged(&mut self) -> Result<(u8, &'a [u8]), MacaroonError> {
        Ok((self.byte()?, self.bytes()?))
    }
}
