//! Apache Parquet.

use std::{
    io::{self, Write},
    sync::Arc,
};

use parquet::{
    basic::{Compression, ConvertedType, Repetition, Type as Physical},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedFileWriter, SerializedRowGroupWriter},
    },
    schema::types::{Type, TypePtr},
};

use super::{
    Kind, Sink,
    columns::{self, Holds, Value},
};
use crate::query::Row;

/// Rows kept in memory until they are written as one group.
const GROUP: usize = 65_536;

/// Writes rows in groups, column by column.
pub(super) struct Parquet<W: Write + Send> {
    /// `None` once it is finished.
    writer: Option<SerializedFileWriter<W>>,
    holds: Vec<Holds>,
    columns: Vec<Vec<Value>>,
}

fn failed(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(error.to_string())
}

fn schema(kind: Kind) -> Result<TypePtr, parquet::errors::ParquetError> {
    let field = |(name, holds): &(&str, Holds)| {
        let (physical, converted) = match holds {
            Holds::Text => (Physical::BYTE_ARRAY, ConvertedType::UTF8),
            Holds::Number => (Physical::INT64, ConvertedType::NONE),
            Holds::Time => (Physical::INT64, ConvertedType::TIMESTAMP_MILLIS),
            Holds::Flag => (Physical::BOOLEAN, ConvertedType::NONE),
        };
        let field = Type::primitive_type_builder(name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_converted_type(converted)
            .build()?;
        Ok::<_, parquet::errors::ParquetError>(Arc::new(field))
    };
    let fields = columns::of(kind).iter().map(field).collect::<Result<_, _>>()?;
    Ok(Arc::new(Type::group_type_builder(kind.as_str()).with_fields(fields).build()?))
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    pub(super) fn new(out: W, kind: Kind) -> io::Result<Self> {
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let writer = SerializedFileWriter::new(out, schema(kind).map_err(failed)?, Arc::new(properties));
        let holds: Vec<Holds> = columns::of(kind).iter().map(|(_, holds)| *holds).collect();
        let columns = vec![Vec::new(); holds.len()];
        Ok(Self { writer: Some(writer.map_err(failed)?), holds, columns })
    }

    fn write_group(&mut self) -> io::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.columns.iter().all(Vec::is_empty) {
            return Ok(());
        }
        let mut group = writer.next_row_group().map_err(failed)?;
        for (holds, values) in self.holds.iter().zip(&mut self.columns) {
            let values = std::mem::take(values);
            match holds {
                Holds::Text => write_column::<W, ByteArrayType>(&mut group, values, |value| match value {
                    Value::Text(text) => Some(ByteArray::from(text.into_bytes())),
                    _ => None,
                })?,
                Holds::Number | Holds::Time => {
                    write_column::<W, Int64Type>(&mut group, values, |value| match value {
                        Value::Number(n) => Some(n),
                        Value::Time(at) => Some(at.0),
                        _ => None,
                    })?;
                }
                Holds::Flag => write_column::<W, BoolType>(&mut group, values, |value| match value {
                    Value::Flag(flag) => Some(flag),
                    _ => None,
                })?,
            }
        }
        group.close().map_err(failed).map(drop)
    }
}

/// Writes one column of a group: for each row whether there is a value, and the values there are.
fn write_column<W: Write + Send, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: Vec<Value>,
    take: impl Fn(Value) -> Option<T::T>,
) -> io::Result<()> {
    let mut levels = Vec::with_capacity(values.len());
    let mut there = Vec::with_capacity(values.len());
    for value in values.into_iter().map(take) {
        levels.push(i16::from(value.is_some()));
        there.extend(value);
    }
    let column = group.next_column().map_err(failed)?;
    let mut column = column.ok_or_else(|| failed("the schema has fewer columns than the row"))?;
    column.typed::<T>().write_batch(&there, Some(&levels), None).map_err(failed)?;
    column.close().map_err(failed)
}

impl<W: Write + Send> Sink for Parquet<W> {
    fn row(&mut self, row: &Row<'_>) -> io::Result<()> {
        for (column, value) in self.columns.iter_mut().zip(columns::values(row)) {
            column.push(value);
        }
        if self.columns.first().is_some_and(|c| c.len() >= GROUP) { self.write_group() } else { Ok(()) }
    }

    fn finish(&mut self) -> io::Result<()> {
        self.write_group()?;
        match self.writer.take() {
            Some(writer) => writer.into_inner().map_err(failed)?.flush(),
            None => Ok(()),
        }
    }
}
