//! Reading Arrow's columns row by row, without ever indexing.

use arrow_array::{
    Array, FixedSizeListArray, Float32Array, LargeBinaryArray, LargeStringArray, RecordBatch,
    StringArray, UInt64Array,
};

use crate::error::{Error, Result};

/// One row of a query's answer.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    batch: &'a RecordBatch,
    at: usize,
}

/// The rows of all batches.
pub(crate) fn rows(batches: &[RecordBatch]) -> impl Iterator<Item = Row<'_>> {
    batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| Row { batch, at }))
}

impl<'a> Row<'a> {
    /// A text; `None` if it is null.
    pub(crate) fn optional_text(&self, column: &str) -> Result<Option<&'a str>> {
        let array = self.column(column)?;
        if array.is_null(self.at) {
            Ok(None)
        } else if let Some(texts) = array.downcast_ref::<StringArray>() {
            Ok(Some(texts.value(self.at)))
        } else if let Some(texts) = array.downcast_ref::<LargeStringArray>() {
            Ok(Some(texts.value(self.at)))
        } else {
            Err(unexpected(column, "text"))
        }
    }

    pub(crate) fn text(&self, column: &str) -> Result<&'a str> {
        self.optional_text(column)?.ok_or_else(|| unexpected(column, "text"))
    }

    pub(crate) fn number(&self, column: &str) -> Result<u64> {
        match self.column(column)?.downcast_ref::<UInt64Array>() {
            Some(numbers) => Ok(numbers.value(self.at)),
            None => Err(unexpected(column, "a number")),
        }
    }

    /// A number; `None` if it is null.
    pub(crate) fn optional_number(&self, column: &str) -> Result<Option<u64>> {
        if self.column(column)?.is_null(self.at) {
            return Ok(None);
        }
        self.number(column).map(Some)
    }

    pub(crate) fn vector(&self, column: &str) -> Result<Vec<f32>> {
        let list = self.column(column)?.downcast_ref::<FixedSizeListArray>();
        let numbers = list.map(|list| list.value(self.at));
        match numbers.as_ref().and_then(|numbers| numbers.as_any().downcast_ref::<Float32Array>()) {
            Some(numbers) => Ok(numbers.values().to_vec()),
            None => Err(unexpected(column, "a vector")),
        }
    }

    pub(crate) fn bytes(&self, column: &str) -> Result<&'a [u8]> {
        match self.column(column)?.downcast_ref::<LargeBinaryArray>() {
            Some(values) => Ok(values.value(self.at)),
            None => Err(unexpected(column, "bytes")),
        }
    }

    fn column(&self, column: &str) -> Result<Column<'a>> {
        self.batch
            .column_by_name(column)
            .map(|array| Column(array.as_ref()))
            .ok_or_else(|| unexpected(column, "present"))
    }
}

struct Column<'a>(&'a dyn Array);

impl<'a> Column<'a> {
    fn is_null(&self, at: usize) -> bool {
        self.0.is_null(at)
    }

    fn downcast_ref<T: 'static>(&self) -> Option<&'a T> {
        self.0.as_any().downcast_ref()
    }
}

/// A column is not as we wrote it: somebody else did, or it is damaged.
pub(crate) fn unexpected(column: &str, expected: &str) -> Error {
    Error::unavailable(format!(
        "the data directory is damaged, or was changed by something else: the column {column} is not {expected}"
    ))
}
