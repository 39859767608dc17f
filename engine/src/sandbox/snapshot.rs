//! A component, taken apart into its code and what its memory begins with.
//!
//! The component carries the snapshot of a CPython that has started, as data that an
//! instance would copy. Compiled code without the data, over a memory that holds it
//! already ([`memory`](super::memory)), is the same program.

use wasm_encoder::{Component, Module, ModuleSection, RawSection};
use wasmparser::{DataKind, DataSectionReader, Operator, Parser, Payload};

/// A component, whose module with the memory has no data any more, and that memory;
/// empty if no module has one.
pub(super) struct Parts {
    pub(super) code: Vec<u8>,
    pub(super) image: Vec<u8>,
}

/// Takes a component apart.
///
/// # Errors
/// What is not a component, or not built as ours is: one memory, one module that fills it.
pub(super) fn split(component: &[u8]) -> wasmtime::Result<Parts> {
    let mut code = Component::new();
    let mut image = None;
    for (depth, payload) in sections(component) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section().filter(|_| depth == 1) else { continue };
        let bytes = component.get(range.clone()).unwrap_or_default();
        match payload {
            Payload::ModuleSection { .. } => match split_module(bytes)? {
                Some((module, memory)) if image.is_none() => {
                    image = Some(memory);
                    code.section(&ModuleSection(&module));
                }
                Some(_) => return Err(wasmtime::Error::msg("two modules have a memory")),
                None => {
                    code.section(&RawSection { id, data: bytes });
                }
            },
            _ => {
                code.section(&RawSection { id, data: bytes });
            }
        }
    }
    Ok(Parts { code: code.finish(), image: image.unwrap_or_default() })
}

/// Payloads, with how deeply each is nested: 1 is the outermost.
fn sections(bytes: &[u8]) -> impl Iterator<Item = (usize, wasmparser::Result<Payload<'_>>)> {
    let mut depth = 0;
    Parser::new(0).parse_all(bytes).map(move |payload| {
        match payload {
            Ok(Payload::Version { .. }) => depth += 1,
            Ok(Payload::End(_)) => depth -= 1,
            _ => {}
        }
        (depth, payload)
    })
}

/// A module without its data, and its memory with them; none if it defines no memory.
fn split_module(bytes: &[u8]) -> wasmtime::Result<Option<(Module, Vec<u8>)>> {
    let mut module = Module::new();
    let mut memory = None;
    for (_, payload) in sections(bytes) {
        let payload = payload?;
        let Some((id, range)) = payload.as_section() else { continue };
        match payload {
            Payload::MemorySection(ref memories) => {
                let first = memories.clone().into_iter().next().transpose()?;
                let pages = first.map_or(0, |memory| memory.initial);
                memory = Some(vec![0; usize::try_from(pages << 16)?]);
            }
            Payload::DataSection(data) => {
                let Some(memory) = &mut memory else { return Ok(None) };
                write(data, memory)?;
                continue;
            }
            Payload::DataCountSection { .. } => continue,
            _ => {}
        }
        module.section(&RawSection { id, data: bytes.get(range).unwrap_or_default() });
    }
    Ok(memory.map(|memory| (module, memory)))
}

/// Writes data to where they go.
fn write(data: DataSectionReader<'_>, memory: &mut [u8]) -> wasmtime::Result<()> {
    for segment in data {
        let segment = segment?;
        let DataKind::Active { memory_index: 0, offset_expr } = segment.kind else {
            return Err(wasmtime::Error::msg("data are not for the memory's beginning"));
        };
        let Operator::I32Const { value } = offset_expr.get_operators_reader().read()? else {
            return Err(wasmtime::Error::msg("data go to a place that is not a constant"));
        };
        let start = value.cast_unsigned() as usize;
        memory
            .get_mut(start..start.saturating_add(segment.data.len()))
            .ok_or_else(|| wasmtime::Error::msg("data lie beyond the memory"))?
            .copy_from_slice(segment.data);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ConstExpr, DataSection, MemorySection, MemoryType, NestedComponentSection, TypeSection,
    };

    fn module(memories: u64, data: &[(i32, &[u8])]) -> Module {
        let mut module = Module::new();
        module.section(&TypeSection::new());
        let mut section = MemorySection::new();
        for _ in 0..memories {
            section.memory(MemoryType {
                minimum: 2,
                maximum: None,
                memory64: false,
                shared: false,
                page_size_log2: None,
            });
        }
        module.section(&section);
        let mut section = DataSection::new();
        for (at, bytes) in data {
            section.active(0, &ConstExpr::i32_const(*at), bytes.iter().copied());
        }
        module.section(&section);
        module
    }

    fn component(modules: &[Module]) -> Vec<u8> {
        let mut component = Component::new();
        for module in modules {
            component.section(&ModuleSection(module));
        }
        component.section(&NestedComponentSection(&Component::new()));
        component.finish()
    }

    #[test]
    fn data_become_memory_and_the_rest_stays() {
        let data: &[(i32, &[u8])] = &[(3, b"abc"), (5, b"de"), (0x1_fffe, b"zz")];
        let whole = component(&[module(1, data), Module::new()]);
        let parts = split(&whole).unwrap();
        assert_eq!(parts.image.len(), 2 << 16);
        assert_eq!(&parts.image[..8], b"\0\0\0abde\0");
        assert_eq!(&parts.image[0x1_fffe..], b"zz");
        // What is left is a component, with all the same but the data.
        let count = |bytes: &[u8]| sections(bytes).filter(|(_, each)| each.is_ok()).count();
        assert_eq!(count(&parts.code) + 1, count(&whole));
        assert_eq!(split(&parts.code).unwrap().image, vec![0; 2 << 16]);
    }

    #[test]
    fn a_component_without_memory_stays_as_it_is() {
        let whole = component(&[Module::new()]);
        let parts = split(&whole).unwrap();
        assert!(parts.code == whole && parts.image.is_empty());
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        for bytes in [
            b"".as_slice(),
            b"no component",
            &component(&[module(1, &[]), module(1, &[])]),
            &component(&[module(1, &[(0x1_ffff, b"zz")])]),
            &component(&[module(1, &[(-1, b"z")])]),
        ] {
            assert!(split(bytes).is_err());
        }
    }
}
