//! The binary form, version 2, with the error words of Go's `macaroon.v2`.
//!
//! `02`, a section (location, identifier), a section per caveat, an empty section, the signature. A field is
//! type, length and data (varints); type 0 ends a section.

const LOCATION: u64 = 1;
const IDENTIFIER: u64 = 2;
const VERIFICATION_ID: u64 = 4;
const SIGNATURE: u64 = 6;

pub(super) struct Macaroon {
    pub(super) location: String,
    pub(super) identifier: Vec<u8>,
    /// First-party only: LND makes no others.
    pub(super) caveats: Vec<Vec<u8>>,
    pub(super) signature: [u8; 32],
}

impl Macaroon {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = vec![2];
        put_field(&mut out, LOCATION, self.location.as_bytes());
        put_field(&mut out, IDENTIFIER, &self.identifier);
        out.push(0);
        for caveat in &self.caveats {
            put_field(&mut out, IDENTIFIER, caveat);
            out.push(0);
        }
        out.push(0);
        put_field(&mut out, SIGNATURE, &self.signature);
        out
    }

    pub(super) fn decode(data: &[u8]) -> Result<Self, String> {
        match data.first() {
            None => Err("empty macaroon data".into()),
            Some(2) => Self::decode_v2(&data[1..]).map_err(|why| format!("unmarshal v2: {why}")),
            Some(_) => Err("cannot determine data format of binary-encoded macaroon".into()),
        }
    }

    fn decode_v2(mut data: &[u8]) -> Result<Self, &'static str> {
        let mut header = section(&mut data)?.into_iter().peekable();
        let location = header.next_if(|field| field.0 == LOCATION).map_or(&[][..], |field| field.1);
        let identifier = match (header.next(), header.next()) {
            (Some((IDENTIFIER, identifier)), None) => identifier.to_vec(),
            _ => return Err("invalid macaroon header"),
        };
        let mut caveats = Vec::new();
        loop {
            match section(&mut data)?.as_slice() {
                [] => break,
                [(IDENTIFIER, caveat)] => caveats.push(caveat.to_vec()),
                [(LOCATION, _), (IDENTIFIER, _)] => return Err("location not allowed in first party caveat"),
                [.., (VERIFICATION_ID, _)] => return Err("cannot find discharge macaroon for caveat"),
                _ => return Err("no identifier in caveat"),
            }
        }
        let (SIGNATURE, signature) = field(&mut data)? else {
            return Err("unexpected field found instead of signature");
        };
        let signature = signature.try_into().map_err(|_| "signature has unexpected length")?;
        // Bytes behind the signature are LND's business as little as they are ours: Go ignores them.
        Ok(Self { location: String::from_utf8_lossy(location).into_owned(), identifier, caveats, signature })
    }
}

fn put_field(out: &mut Vec<u8>, kind: u64, data: &[u8]) {
    put_varint(out, kind);
    put_varint(out, data.len() as u64);
    out.extend_from_slice(data);
}

fn section<'a>(data: &mut &'a [u8]) -> Result<Vec<(u64, &'a [u8])>, &'static str> {
    let mut fields: Vec<(u64, &[u8])> = Vec::new();
    loop {
        let Some(first) = data.first() else { return Err("section extends past end of buffer") };
        if *first == 0 {
            *data = &data[1..];
            return Ok(fields);
        }
        let next = field(data)?;
        if fields.last().is_some_and(|last| next.0 <= last.0) {
            return Err("fields out of order");
        }
        fields.push(next);
    }
}

fn field<'a>(data: &mut &'a [u8]) -> Result<(u64, &'a [u8]), &'static str> {
    let kind = varint(data).ok_or("varint value extends past end of buffer")?;
    let length = varint(data).ok_or("varint value extends past end of buffer")?;
    let taken = take(data, length).ok_or("field data extends past end of buffer")?;
    Ok((kind, taken))
}

pub(super) fn take<'a>(data: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = data.split_at_checked(usize::try_from(length).ok()?)?;
    *data = rest;
    Some(taken)
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.extend(u8::try_from(value & 0x7f | 0x80));
        value >>= 7;
    }
    out.extend(u8::try_from(value));
}

pub(super) fn varint(data: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = data.split_first()?;
        *data = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
