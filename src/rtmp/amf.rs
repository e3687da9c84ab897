//! AMF0, in which commands and metadata of RTMP are written: read within bounds, since peers send it before anybody knows who they are.
//!
//! Depth, count and length are bounded. References are refused: a few bytes of them stand for gigabytes. What is kept of a value is what
//! this server looks at; dates and XML are passed over.
//!
//! Source: Action Message Format AMF 0 (Adobe, 2007).

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// How deep values may stand in each other.
const DEPTH_MAX: usize = 8;
/// The most values of a message, names included.
const VALUES_MAX: usize = 1024;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number; times and counts are numbers too.
    Number(f64),
    /// Yes or no.
    Boolean(bool),
    /// A text.
    Text(String),
    /// Named values, as objects and as arrays with names have them, in their order.
    Object(Vec<(String, Value)>),
    /// Values in a row.
    Array(Vec<Value>),
    /// Nothing, or something that is of no use here.
    Null,
}

/// Why bytes are no AMF0 that is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmfError {
    /// The bytes end within a value.
    #[error("a value is cut off")]
    Short,
    /// A kind of value that is not known, or not taken.
    #[error("a value of the kind {0} is not taken")]
    Kind(u8),
    /// Too deep, or too many values.
    #[error("values stand too deep in each other, or are too many")]
    Large,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
}

impl Value {
    /// An object of these values.
    pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Self {
        Self::Object(
            fields
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// The text that it is.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number that it is.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(fields) => fields
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }
}

/// Reads all values of a message.
///
/// # Errors
/// It is not AMF0, or more than is taken.
pub fn read(bytes: &Bytes) -> Result<Vec<Value>, AmfError> {
    let mut reader = Reader {
        rest: bytes.clone(),
        values: 0,
    };
    let mut values = Vec::new();
    while !reader.rest.is_empty() {
        values.push(reader.value(0)?);
    }
    Ok(values)
}

struct Reader {
    rest: Bytes,
    values: usize,
}

impl Reader {
    fn need(&self, bytes: usize) -> Result<(), AmfError> {
        if self.rest.len() < bytes {
            return Err(AmfError::Short);
        }
        Ok(())
    }

    fn value(&mut self, depth: usize) -> Result<Value, AmfError> {
        self.values += 1;
        if depth > DEPTH_MAX || self.values > VALUES_MAX {
            return Err(AmfError::Large);
        }
        self.need(1)?;
        match self.rest.get_u8() {
            0 => {
                self.need(8)?;
                Ok(Value::Number(self.rest.get_f64()))
            }
            1 => {
                self.need(1)?;
                Ok(Value::Boolean(self.rest.get_u8() != 0))
            }
            2 => self.short_text().map(Value::Text),
            3 => self.fields(depth),
            // Null, undefined, not supported.
            5 | 6 | 13 => Ok(Value::Null),
            8 => {
                // How many there are is only a hint.
                self.need(4)?;
                self.rest.advance(4);
                self.fields(depth)
            }
            10 => {
                self.need(4)?;
                let count = self.rest.get_u32();
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Ok(Value::Array(values))
            }
            11 => {
                // A date: milliseconds, and a zone that is not used.
                self.need(10)?;
                self.rest.advance(10);
                Ok(Value::Null)
            }
            12 => self.long_text().map(Value::Text),
            15 => self.long_text().map(|_| Value::Null),
            16 => {
                self.short_text()?;
                self.fields(depth)
            }
            kind => Err(AmfError::Kind(kind)),
        }
    }

    /// Named values up to the mark of their end, which some clients leave out at the end of a message.
    fn fields(&mut self, depth: usize) -> Result<Value, AmfError> {
        let mut fields = Vec::new();
        while !self.rest.is_empty() {
            let name = self.short_text()?;
            if name.is_empty() {
                if !self.rest.is_empty() {
                    self.rest.advance(1);
                }
                break;
            }
            fields.push((name, self.value(depth + 1)?));
        }
        Ok(Value::Object(fields))
    }

    fn short_text(&mut self) -> Result<String, AmfError> {
        self.need(2)?;
        let length = usize::from(self.rest.get_u16());
        self.text(length)
    }

    fn long_text(&mut self) -> Result<String, AmfError> {
        self.need(4)?;
        let length = self.rest.get_u32() as usize;
        self.text(length)
    }

    fn text(&mut self, length: usize) -> Result<String, AmfError> {
        self.need(length)?;
        let bytes = self.rest.split_to(length);
        let text = std::str::from_utf8(&bytes).map_err(|_| AmfError::Text)?;
        Ok(text.to_owned())
    }
}

/// Writes values one after the other.
pub fn write(values: &[Value]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(256);
    for value in values {
        write_value(&mut bytes, value);
    }
    bytes.freeze()
}

fn write_value(bytes: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            bytes.put_u8(0);
            bytes.put_f64(*number);
        }
        Value::Boolean(yes) => {
            bytes.put_u8(1);
            bytes.put_u8(u8::from(*yes));
        }
        Value::Text(text) => match u16::try_from(text.len()) {
            Ok(length) => {
                bytes.put_u8(2);
                bytes.put_u16(length);
                bytes.put_slice(text.as_bytes());
            }
            Err(_) => {
                bytes.put_u8(12);
                bytes.put_u32(text.len() as u32);
                bytes.put_slice(text.as_bytes());
            }
        },
        Value::Object(fields) => {
            bytes.put_u8(3);
            for (name, value) in fields {
                let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
                bytes.put_u16(name.len() as u16);
                bytes.put_slice(name);
                write_value(bytes, value);
            }
            bytes.put_slice(&[0, 0, 9]);
        }
        Value::Array(values) => {
            bytes.put_u8(10);
            bytes.put_u32(values.len() as u32);
            for value in values {
                write_value(bytes, value);
            }
        }
        Value::Null => bytes.put_u8(5),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e9..1e9f64).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            "[a-z]{0,12}".prop_map(Value::Text),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
                proptest::collection::vec(("[a-z]{1,8}", inner), 0..4).prop_map(Value::Object),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in proptest::collection::vec(values(), 0..5)) {
            prop_assert_eq!(read(&write(&value)).expect("AMF0"), value);
        }

        #[test]
        fn no_bytes_do_harm(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
            let _read = read(&bytes.into());
        }
    }

    #[test]
    fn what_would_grow_without_bound_is_refused() {
        // Arrays within arrays.
        let deep: Vec<u8> = [10, 0, 0, 0, 1].repeat(10_000);
        assert_eq!(read(&deep.into()), Err(AmfError::Large));
        // Four thousand million values in nine bytes.
        let wide = [&[10, 0xff, 0xff, 0xff, 0xff][..], &[5; 2000]].concat();
        assert_eq!(read(&wide.into()), Err(AmfError::Large));
        // A reference.
        assert_eq!(read(&vec![7, 0, 0].into()), Err(AmfError::Kind(7)));
        // A text that says it is longer than what there is.
        assert_eq!(
            read(&vec![12, 0xff, 0xff, 0xff, 0xff, b'a'].into()),
            Err(AmfError::Short)
        );
    }
}
