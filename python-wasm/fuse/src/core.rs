//! The modules themselves.

use std::collections::{BTreeMap, HashMap, HashSet};

use wasm_encoder::reencode::{Error as Reencoding, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, DataSection, ElementSection, Elements, EntityType, ExportKind,
    ExportSection, FunctionSection, GlobalSection, ImportSection, Instruction, MemorySection,
    NameMap, NameSection, TableSection, TypeSection,
};
use wasmparser::{
    DataKind, ElementItems, ElementKind, ExternalKind, FunctionBody, Name, Operator, Parser,
    Payload, TypeRef,
};

use crate::Result;
use crate::bulk::{self, Bulk};
use crate::component::Source;

/// The module name of all imports of the fused module.
pub const HOST: &str = "host";

/// Something that a module defines: an index of one of its spaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Definition {
    pub module: usize,
    pub kind: u8,
    pub index: u32,
}

/// A module's sections, read.
#[derive(Default)]
pub struct Module<'a> {
    pub name: String,
    pub bytes: &'a [u8],
    types: Vec<wasmparser::FuncType>,
    imports: Vec<(ExternalKind, &'a str, &'a str, TypeRef)>,
    functions: Vec<u32>,
    tables: Vec<wasmparser::Table<'a>>,
    memories: Vec<wasmparser::MemoryType>,
    globals: Vec<wasmparser::Global<'a>>,
    exports: HashMap<&'a str, (ExternalKind, u32)>,
    elements: Vec<wasmparser::Element<'a>>,
    data: Vec<wasmparser::Data<'a>>,
    bodies: Vec<FunctionBody<'a>>,
    names: HashMap<u32, &'a str>,
}

impl<'a> Module<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        let mut module = Self { bytes, ..Self::default() };
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { .. } | Payload::End(_) | Payload::DataCountSection { .. } => {}
                Payload::CodeSectionStart { .. } => {}
                Payload::TypeSection(reader) => {
                    for ty in reader.into_iter_err_on_gc_types() {
                        module.types.push(ty?);
                    }
                }
                Payload::ImportSection(reader) => {
                    for import in reader.into_imports() {
                        let import = import?;
                        let kind = match import.ty {
                            TypeRef::Func(_) => ExternalKind::Func,
                            TypeRef::Table(_) => ExternalKind::Table,
                            TypeRef::Memory(_) => ExternalKind::Memory,
                            TypeRef::Global(_) => ExternalKind::Global,
                            other => return Err(format!("{other:?} is not expected").into()),
                        };
                        module.imports.push((kind, import.module, import.name, import.ty));
                    }
                }
                Payload::FunctionSection(reader) => {
                    module.functions = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::TableSection(reader) => {
                    module.tables = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::MemorySection(reader) => {
                    module.memories = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::GlobalSection(reader) => {
                    module.globals = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::ExportSection(reader) => {
                    for export in reader {
                        let export = export?;
                        module.exports.insert(export.name, (export.kind, export.index));
                    }
                }
                Payload::ElementSection(reader) => {
                    module.elements = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::DataSection(reader) => {
                    module.data = reader.into_iter().collect::<std::result::Result<_, _>>()?;
                }
                Payload::CodeSectionEntry(body) => module.bodies.push(body),
                Payload::CustomSection(section) => {
                    if let wasmparser::KnownCustom::Name(names) = section.as_known() {
                        for name in names {
                            match name? {
                                Name::Module { name, .. } => module.name = name.to_owned(),
                                Name::Function(map) => {
                                    for naming in map {
                                        let naming = naming?;
                                        module.names.insert(naming.index, naming.name);
                                    }
                                }
                                _ => {}
                            }
                        }
                    }
                }
                other => return Err(format!("{other:?} is not expected").into()),
            }
        }
        Ok(module)
    }

    /// Whether this is one of the two modules that stand between the others and
    /// their host: one calls through a table that is its own, the other fills it.
    pub fn is_trampoline(&self) -> bool {
        const TABLE: &str = "$imports";
        self.exports.contains_key(TABLE)
            || self.imports.iter().any(|(_, module, name, _)| (*module, *name) == ("", TABLE))
    }

    pub fn export(&self, name: &str) -> Result<(ExternalKind, u32)> {
        let found = self.exports.get(name).copied();
        found.ok_or_else(|| format!("{} exports no {name}", self.name).into())
    }

    /// How many of each kind are imported.
    pub fn imports(&self) -> impl Iterator<Item = (ExternalKind, u32)> {
        let kinds =
            [ExternalKind::Func, ExternalKind::Table, ExternalKind::Memory, ExternalKind::Global];
        kinds.into_iter().map(|kind| (kind, self.imported(kind)))
    }

    fn imported(&self, kind: ExternalKind) -> u32 {
        self.imports.iter().filter(|import| import.0 == kind).count() as u32
    }

    /// Where an index is imported from, if it is.
    pub fn import(&self, kind: ExternalKind, index: u32) -> Option<(&'a str, &'a str)> {
        let mut of_kind = self.imports.iter().filter(|import| import.0 == kind);
        of_kind.nth(index as usize).map(|import| (import.1, import.2))
    }

    fn type_of_import(&self, index: u32) -> Result<&wasmparser::FuncType> {
        let mut functions = self.imports.iter().filter(|import| import.0 == ExternalKind::Func);
        match functions.nth(index as usize).map(|import| import.3) {
            Some(TypeRef::Func(ty)) => Ok(&self.types[ty as usize]),
            _ => Err("an import has no type".into()),
        }
    }
}

/// Which modules are fused, in the order of their instances, and what their imports lead to.
#[derive(Default)]
pub struct Linked {
    pub order: Vec<usize>,
    pub imports: HashMap<Definition, Source>,
}

/// One module.
#[derive(Default)]
pub struct Fused {
    pub bytes: Vec<u8>,
    /// What it imports of [`HOST`], all of them functions.
    pub imports: Vec<(String, Source)>,
    pub exports: BTreeMap<Definition, String>,
}

/// A constant, as far as shared libraries have them.
type Constant = i32;

struct Linker<'a> {
    modules: &'a [Module<'a>],
    linked: &'a Linked,
    types: TypeSection,
    type_indices: HashMap<wasmparser::FuncType, u32>,
    functions: HashMap<Definition, u32>,
    host: HashMap<Source, u32>,
    globals: HashMap<Definition, u32>,
    constants: HashMap<Definition, Constant>,
    /// What stands for `memory.copy` and `memory.fill`, see there.
    bulk: Bulk,
}

impl Linker<'_> {
    fn type_index(&mut self, ty: &wasmparser::FuncType) -> Result<u32> {
        if let Some(index) = self.type_indices.get(ty) {
            return Ok(*index);
        }
        let index = self.types.len();
        let mut plain = wasm_encoder::reencode::RoundtripReencoder;
        let encoded = plain.func_type(ty.clone())?;
        self.types.ty().func_type(&encoded);
        self.type_indices.insert(ty.clone(), index);
        Ok(index)
    }

    /// What an index of a module's space leads to.
    fn follow(&self, module: usize, kind: ExternalKind, index: u32) -> Source {
        let definition = Definition { module, kind: kind as u8, index };
        self.linked.imports.get(&definition).cloned().unwrap_or(Source::Inside(definition))
    }

    fn function(&self, module: usize, index: u32) -> Result<u32> {
        let found = match self.follow(module, ExternalKind::Func, index) {
            Source::Inside(definition) => self.functions.get(&definition),
            outside => self.host.get(&outside),
        };
        found.copied().ok_or_else(|| "a function is missing".into())
    }

    fn inside(&self, module: usize, kind: ExternalKind, index: u32) -> Result<Definition> {
        match self.follow(module, kind, index) {
            Source::Inside(definition) => Ok(definition),
            _ => Err(format!("{kind:?} of the host is not expected").into()),
        }
    }

    /// The value of a constant expression.
    fn evaluate(&self, module: usize, expression: &wasmparser::ConstExpr<'_>) -> Result<Constant> {
        let mut stack: Vec<Constant> = vec![];
        for operator in expression.get_operators_reader() {
            match operator? {
                Operator::I32Const { value } => stack.push(value),
                Operator::GlobalGet { global_index } => {
                    let definition = self.inside(module, ExternalKind::Global, global_index)?;
                    let global = &self.modules[definition.module];
                    let own = definition.index - global.imported(ExternalKind::Global);
                    let init = &global.globals[own as usize].init_expr;
                    stack.push(self.evaluate(definition.module, init)?);
                }
                Operator::I32Add => {
                    let (b, a) = (stack.pop().ok_or("empty")?, stack.pop().ok_or("empty")?);
                    stack.push(a.wrapping_add(b));
                }
                Operator::End => {}
                other => return Err(format!("{other:?} in a constant").into()),
            }
        }
        stack.pop().ok_or_else(|| "a constant expression is empty".into())
    }
}

/// Encodes one module's code with the fused module's indices.
struct Code<'a, 'b> {
    linker: &'a mut Linker<'b>,
    module: usize,
}

impl Reencode for Code<'_, '_> {
    type Error = String;

    fn type_index(&mut self, ty: u32) -> std::result::Result<u32, Reencoding<String>> {
        let ty = self.linker.modules[self.module].types[ty as usize].clone();
        self.linker.type_index(&ty).map_err(user)
    }

    fn function_index(&mut self, function: u32) -> std::result::Result<u32, Reencoding<String>> {
        self.linker.function(self.module, function).map_err(user)
    }

    fn global_index(&mut self, global: u32) -> std::result::Result<u32, Reencoding<String>> {
        let found = self.linker.inside(self.module, ExternalKind::Global, global).map_err(user)?;
        let index = self.linker.globals.get(&found).copied();
        index.ok_or_else(|| user("a global is missing".into()))
    }

    fn instruction<'a>(
        &mut self,
        operator: Operator<'a>,
    ) -> std::result::Result<Instruction<'a>, Reencoding<String>> {
        if let Operator::GlobalGet { global_index } = operator {
            let found = self.linker.inside(self.module, ExternalKind::Global, global_index);
            if let Some(constant) = self.linker.constants.get(&found.map_err(user)?) {
                return Ok(Instruction::I32Const(*constant));
            }
        }
        match operator {
            Operator::MemoryCopy { dst_mem: 0, src_mem: 0 } => {
                Ok(Instruction::Call(self.linker.bulk.copy))
            }
            Operator::MemoryFill { mem: 0 } => Ok(Instruction::Call(self.linker.bulk.fill)),
            operator => wasm_encoder::reencode::utils::instruction(self, operator),
        }
    }
}

fn user(error: Box<dyn std::error::Error>) -> Reencoding<String> {
    Reencoding::UserError(error.to_string())
}

/// Makes one module of many. `wanted` is what the component's level uses of them.
pub fn fuse(
    modules: &[Module<'_>],
    linked: &Linked,
    wanted: &BTreeMap<Definition, String>,
) -> Result<Fused> {
    let mut linker = Linker {
        modules,
        linked,
        types: TypeSection::new(),
        type_indices: HashMap::new(),
        functions: HashMap::new(),
        host: HashMap::new(),
        globals: HashMap::new(),
        constants: HashMap::new(),
        bulk: Bulk::default(),
    };
    let mut fused = Fused { exports: wanted.clone(), ..Fused::default() };

    // Functions of the host, each once.
    let mut imports = ImportSection::new();
    for module in &linked.order {
        for index in 0..modules[*module].imported(ExternalKind::Func) {
            let source = linker.follow(*module, ExternalKind::Func, index);
            if matches!(source, Source::Inside(_)) || linker.host.contains_key(&source) {
                continue;
            }
            let number = linker.host.len();
            let ty = linker.type_index(modules[*module].type_of_import(index)?)?;
            let name = format!("h{number}");
            imports.import(HOST, &name, EntityType::Function(ty));
            fused.imports.push((name, source.clone()));
            linker.host.insert(source, number as u32);
        }
    }

    // Functions of the modules.
    let mut functions = FunctionSection::new();
    let first = linker.host.len() as u32;
    for module in &linked.order {
        let imported = modules[*module].imported(ExternalKind::Func);
        for (own, ty) in modules[*module].functions.iter().enumerate() {
            let ty = linker.type_index(&modules[*module].types[*ty as usize])?;
            let index = imported + own as u32;
            let definition = Definition { module: *module, kind: ExternalKind::Func as u8, index };
            linker.functions.insert(definition, first + functions.len());
            functions.function(ty);
        }
    }

    // After them, what stands for bulk instructions.
    let i32 = wasmparser::ValType::I32;
    let ty = linker.type_index(&wasmparser::FuncType::new([i32, i32, i32], []))?;
    let copy = first + functions.len();
    functions.function(ty).function(ty);
    linker.bulk = Bulk { copy, fill: copy + 1 };

    // Globals: what nobody sets is a constant.
    let mut set = HashSet::new();
    for module in &linked.order {
        for body in &modules[*module].bodies {
            for operator in body.get_operators_reader()? {
                if let Operator::GlobalSet { global_index } = operator? {
                    set.insert(linker.inside(*module, ExternalKind::Global, global_index)?);
                }
            }
        }
    }
    let mut globals = GlobalSection::new();
    for module in &linked.order {
        let imported = modules[*module].imported(ExternalKind::Global);
        for (own, global) in modules[*module].globals.iter().enumerate() {
            let index = imported + own as u32;
            let definition =
                Definition { module: *module, kind: ExternalKind::Global as u8, index };
            if global.ty.content_type != wasmparser::ValType::I32 {
                return Err("a global is not an i32".into());
            }
            let value = linker.evaluate(*module, &global.init_expr)?;
            if set.contains(&definition) || wanted.contains_key(&definition) {
                let mut plain = wasm_encoder::reencode::RoundtripReencoder;
                let ty = plain.global_type(global.ty)?;
                linker.globals.insert(definition, globals.len());
                globals.global(ty, &ConstExpr::i32_const(value));
            } else {
                linker.constants.insert(definition, value);
            }
        }
    }

    // One memory and one table, both of the first module.
    let mut plain = wasm_encoder::reencode::RoundtripReencoder;
    let (mut memories, mut tables) = (MemorySection::new(), TableSection::new());
    for module in &linked.order {
        for memory in &modules[*module].memories {
            memories.memory(plain.memory_type(*memory)?);
        }
        for table in &modules[*module].tables {
            // Nobody grows it; a maximum lets a runtime know.
            let mut ty = table.ty;
            ty.maximum = ty.maximum.or(Some(ty.initial));
            tables.table(plain.table_type(ty)?);
        }
    }
    if (memories.len(), tables.len()) != (1, 1) {
        return Err("one memory and one table are expected".into());
    }

    let mut elements = ElementSection::new();
    let mut data = DataSection::new();
    for module in &linked.order {
        for element in &modules[*module].elements {
            let ElementKind::Active { offset_expr, .. } = &element.kind else {
                return Err("an element segment is not active".into());
            };
            let offset = linker.evaluate(*module, offset_expr)?;
            let mut content = vec![];
            match &element.items {
                ElementItems::Functions(reader) => {
                    for function in reader.clone() {
                        content.push(linker.function(*module, function?)?);
                    }
                }
                ElementItems::Expressions(..) => return Err("elements are expressions".into()),
            }
            if !content.is_empty() {
                let content = Elements::Functions(content.into());
                elements.active(None, &ConstExpr::i32_const(offset), content);
            }
        }
        for segment in &modules[*module].data {
            let DataKind::Active { offset_expr, .. } = &segment.kind else {
                return Err("a data segment is not active".into());
            };
            let offset = linker.evaluate(*module, offset_expr)?;
            data.active(0, &ConstExpr::i32_const(offset), segment.data.iter().copied());
        }
    }

    let mut exports = ExportSection::new();
    for (definition, name) in wanted {
        let kinds = [ExternalKind::Memory, ExternalKind::Table, ExternalKind::Global];
        let kind = kinds.into_iter().find(|kind| *kind as u8 == definition.kind);
        match kind {
            Some(ExternalKind::Memory) => exports.export(name, ExportKind::Memory, 0),
            Some(ExternalKind::Table) => exports.export(name, ExportKind::Table, 0),
            Some(_) => exports.export(name, ExportKind::Global, linker.globals[definition]),
            None => exports.export(name, ExportKind::Func, linker.functions[definition]),
        };
    }

    let mut code = CodeSection::new();
    let mut names = NameMap::new();
    for module in &linked.order {
        let imported = modules[*module].imported(ExternalKind::Func);
        for (own, body) in modules[*module].bodies.iter().enumerate() {
            if let Some(name) = modules[*module].names.get(&(imported + own as u32)) {
                names.append(first + code.len(), name);
            }
            let mut reencoder = Code { linker: &mut linker, module: *module };
            reencoder
                .parse_function_body(&mut code, body.clone())
                .map_err(|error| error.to_string())?;
        }
    }
    for (function, name) in bulk::functions().iter().zip(bulk::NAMES) {
        names.append(first + code.len(), name);
        code.function(function);
    }
    let mut name_section = NameSection::new();
    name_section.module("python");
    name_section.functions(&names);

    let mut module = wasm_encoder::Module::new();
    module
        .section(&linker.types)
        .section(&imports)
        .section(&functions)
        .section(&tables)
        .section(&memories)
        .section(&globals)
        .section(&exports)
        .section(&elements)
        .section(&code)
        .section(&data)
        .section(&name_section);
    fused.bytes = module.finish();
    Ok(fused)
}
