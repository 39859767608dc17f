//! The component around the modules: what it instantiates, and what it lifts and lowers.

use std::collections::{BTreeMap, HashMap};

use wasm_encoder::{
    CanonicalFunctionSection, CanonicalOption as Option_, Component, ComponentAliasSection, Encode,
    ExportKind, InstanceSection, ModuleArg, RawSection,
};
use wasmparser::{
    CanonicalFunction, CanonicalOption, ComponentAlias, ExternalKind, Instance, Parser, Payload,
};

use crate::Result;
use crate::core::{Definition, Fused, Linked, Module};

/// What a core instance is made of.
enum Made {
    Module { module: usize, args: Vec<(String, usize)> },
    Items(Vec<(String, ExternalKind, u32)>),
}

/// Where a core item comes from.
#[derive(Clone)]
enum Origin {
    /// The export of a core instance.
    Export(usize, String),
    /// The canonical function that is the n-th item.
    Canonical(usize),
}

/// What the component's sections define, one after the other.
enum Item<'a> {
    /// Concerns the component level only: copied as it is.
    Raw(u8, &'a [u8]),
    CoreInstance(usize),
    Canonical(CanonicalFunction),
}

struct Parsed<'a> {
    modules: Vec<Module<'a>>,
    instances: Vec<Made>,
    functions: Vec<Origin>,
    memories: Vec<Origin>,
    tables: Vec<Origin>,
    globals: Vec<Origin>,
    items: Vec<Item<'a>>,
    custom: Vec<(&'a str, &'a [u8])>,
}

/// What a core item is after fusing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// Defined by a module that is fused.
    Inside(Definition),
    /// The canonical function that is the n-th item.
    Canonical(usize),
    /// The export of a module that is kept.
    Kept(usize, String),
}

impl Parsed<'_> {
    fn is_kept(&self, module: usize) -> bool {
        self.modules[module].is_trampoline()
    }

    fn origins(&self, kind: ExternalKind) -> &[Origin] {
        match kind {
            ExternalKind::Memory => &self.memories,
            ExternalKind::Table => &self.tables,
            ExternalKind::Global => &self.globals,
            _ => &self.functions,
        }
    }

    /// Follows an index of a core space to what defines it.
    fn resolve(&self, kind: ExternalKind, index: u32) -> Result<Source> {
        match &self.origins(kind)[index as usize] {
            Origin::Canonical(item) => Ok(Source::Canonical(*item)),
            Origin::Export(instance, name) => self.resolve_export(*instance, name),
        }
    }

    fn resolve_export(&self, instance: usize, name: &str) -> Result<Source> {
        match &self.instances[instance] {
            Made::Items(items) => {
                let found = items.iter().find(|(item, ..)| item == name);
                let (_, kind, index) = found.ok_or_else(|| format!("no item {name}"))?;
                self.resolve(*kind, *index)
            }
            Made::Module { module, .. } if self.is_kept(*module) => {
                Ok(Source::Kept(instance, name.to_owned()))
            }
            Made::Module { module, .. } => {
                let (kind, index) = self.modules[*module].export(name)?;
                self.resolve_in(instance, kind, index)
            }
        }
    }

    /// Follows an index of a module's space; an import leads to what it is given.
    fn resolve_in(&self, instance: usize, kind: ExternalKind, index: u32) -> Result<Source> {
        let Made::Module { module, args } = &self.instances[instance] else {
            return Err("items have no indices of their own".into());
        };
        match self.modules[*module].import(kind, index) {
            None => Ok(Source::Inside(Definition { module: *module, kind: kind as u8, index })),
            Some((from, name)) => {
                let given = args.iter().find(|(arg, _)| arg == from);
                let (_, given) = given.ok_or_else(|| format!("no argument {from}"))?;
                self.resolve_export(*given, name)
            }
        }
    }
}

fn parse(bytes: &[u8]) -> Result<Parsed<'_>> {
    let mut parsed = Parsed {
        modules: vec![],
        instances: vec![],
        functions: vec![],
        memories: vec![],
        tables: vec![],
        globals: vec![],
        items: vec![],
        custom: vec![],
    };
    let mut parser = Parser::new(0);
    let mut at = 0;
    loop {
        let chunk = parser.parse(&bytes[at..], true)?;
        let wasmparser::Chunk::Parsed { consumed, payload } = chunk else {
            return Err("the component is cut off".into());
        };
        at += consumed;
        macro_rules! raw {
            ($id:expr, $reader:expr) => {{
                let reader = $reader;
                let end = reader.range().end;
                let starts: Vec<usize> = reader
                    .into_iter_with_offsets()
                    .map(|item| item.map(|(offset, _)| offset))
                    .collect::<std::result::Result<_, _>>()?;
                let ends = starts.iter().skip(1).copied().chain([end]).collect::<Vec<_>>();
                for (start, end) in starts.into_iter().zip(ends) {
                    parsed.items.push(Item::Raw($id, &bytes[start..end]));
                }
            }};
        }
        match payload {
            Payload::Version { .. } => {}
            Payload::CustomSection(section) => parsed.custom.push((section.name(), section.data())),
            Payload::ModuleSection { unchecked_range, .. } => {
                parsed.modules.push(Module::parse(&bytes[unchecked_range.clone()])?);
                at = unchecked_range.end;
            }
            Payload::ComponentSection { unchecked_range, .. } => {
                let all = &bytes[unchecked_range.clone()];
                // A nested component is its section's whole content.
                parsed.items.push(Item::Raw(4, all));
                at = unchecked_range.end;
            }
            Payload::InstanceSection(reader) => {
                for instance in reader {
                    let made = match instance? {
                        Instance::Instantiate { module_index, args } => Made::Module {
                            module: module_index as usize,
                            args: args
                                .iter()
                                .map(|arg| (arg.name.to_owned(), arg.index as usize))
                                .collect(),
                        },
                        Instance::FromExports(exports) => Made::Items(
                            exports
                                .iter()
                                .map(|item| (item.name.to_owned(), item.kind, item.index))
                                .collect(),
                        ),
                    };
                    parsed.items.push(Item::CoreInstance(parsed.instances.len()));
                    parsed.instances.push(made);
                }
            }
            Payload::ComponentAliasSection(reader) => {
                let end = reader.range().end;
                let mut all = vec![];
                for alias in reader.into_iter_with_offsets() {
                    all.push(alias?);
                }
                for (place, (start, alias)) in all.iter().enumerate() {
                    let end = all.get(place + 1).map_or(end, |next| next.0);
                    let ComponentAlias::CoreInstanceExport { kind, instance_index, name } = alias
                    else {
                        parsed.items.push(Item::Raw(6, &bytes[*start..end]));
                        continue;
                    };
                    let origin = Origin::Export(*instance_index as usize, (*name).to_owned());
                    match kind {
                        ExternalKind::Func => parsed.functions.push(origin),
                        ExternalKind::Memory => parsed.memories.push(origin),
                        ExternalKind::Table => parsed.tables.push(origin),
                        ExternalKind::Global => parsed.globals.push(origin),
                        _ => return Err(format!("an alias of {kind:?} is not expected").into()),
                    }
                }
            }
            Payload::ComponentCanonicalSection(reader) => {
                for function in reader {
                    let function = function?;
                    if !matches!(function, CanonicalFunction::Lift { .. }) {
                        parsed.functions.push(Origin::Canonical(parsed.items.len()));
                    }
                    parsed.items.push(Item::Canonical(function));
                }
            }
            Payload::ComponentTypeSection(reader) => raw!(7, reader),
            Payload::ComponentImportSection(reader) => raw!(10, reader),
            Payload::ComponentExportSection(reader) => raw!(11, reader),
            Payload::ComponentInstanceSection(reader) => raw!(5, reader),
            Payload::End(_) => return Ok(parsed),
            other => return Err(format!("{other:?} is not expected").into()),
        }
    }
}

/// The component with one module in place of many.
pub fn fuse(bytes: &[u8]) -> Result<Vec<u8>> {
    let parsed = parse(bytes)?;
    let mut linked = Linked::default();
    for (place, made) in parsed.instances.iter().enumerate() {
        let Made::Module { module, .. } = made else { continue };
        if parsed.is_kept(*module) {
            continue;
        }
        if linked.order.contains(module) {
            return Err("a module is instantiated twice".into());
        }
        linked.order.push(*module);
        for (kind, count) in parsed.modules[*module].imports() {
            for index in 0..count {
                let source = parsed.resolve_in(place, kind, index)?;
                linked.imports.insert(Definition { module: *module, kind: kind as u8, index }, source);
            }
        }
    }
    // What the component's level uses of the fused module is found out by going through it once.
    let mut writer = Writer::new(&parsed, Fused::default());
    writer.write()?;
    let wanted = std::mem::take(&mut writer.wanted);
    let fused = crate::core::fuse(&parsed.modules, &linked, &wanted)?;
    let mut writer = Writer::new(&parsed, fused);
    writer.write()?;
    writer.finish()
}

struct Writer<'a> {
    parsed: &'a Parsed<'a>,
    fused: Fused,
    out: Component,
    /// What is used of the fused module, and under which name it exports it.
    wanted: BTreeMap<Definition, String>,
    /// The new index of what was written, by kind.
    known: HashMap<(u8, Source), u32>,
    counts: [u32; 4],
    instances: HashMap<usize, u32>,
    instance_count: u32,
    fused_instance: Option<u32>,
}

impl<'a> Writer<'a> {
    fn new(parsed: &'a Parsed<'a>, fused: Fused) -> Self {
        Self {
            parsed,
            fused,
            out: Component::new(),
            wanted: BTreeMap::new(),
            known: HashMap::new(),
            counts: [0; 4],
            instances: HashMap::new(),
            instance_count: 0,
            fused_instance: None,
        }
    }

    fn write(&mut self) -> Result<()> {
        let mut has_modules = false;
        for place in 0..self.parsed.items.len() {
            let parsed = self.parsed;
            match &parsed.items[place] {
                Item::Raw(4, component) => {
                    self.out.section(&RawSection { id: 4, data: component });
                }
                Item::Raw(id, item) => {
                    let mut data = Vec::with_capacity(item.len() + 1);
                    1_u32.encode(&mut data);
                    data.extend_from_slice(item);
                    self.out.section(&RawSection { id: *id, data: &data });
                }
                Item::CoreInstance(instance) => {
                    if !has_modules {
                        has_modules = true;
                        self.modules();
                    }
                    self.instance(*instance)?;
                }
                Item::Canonical(function) => self.canonical(place, function)?,
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Vec<u8>> {
        for (name, data) in &self.parsed.custom {
            if *name == "producers" {
                let data = std::borrow::Cow::Borrowed(*data);
                let name = std::borrow::Cow::Borrowed(*name);
                self.out.section(&wasm_encoder::CustomSection { name, data });
            }
        }
        Ok(self.out.finish())
    }

    /// The fused module is the first, and those that are kept follow.
    fn modules(&mut self) {
        self.out.section(&RawSection { id: 1, data: &self.fused.bytes });
        for module in self.parsed.modules.iter().filter(|module| module.is_trampoline()) {
            self.out.section(&RawSection { id: 1, data: module.bytes });
        }
    }

    fn new_module_index(&self, module: usize) -> u32 {
        let kept = (0..module).filter(|module| self.parsed.is_kept(*module)).count();
        u32::try_from(kept).expect("few") + 1
    }

    fn add_instance(&mut self, section: &InstanceSection) -> u32 {
        self.out.section(section);
        self.instance_count += 1;
        self.instance_count - 1
    }

    /// Writes an instance of a module that is kept, with what it is given.
    fn instance(&mut self, instance: usize) -> Result<()> {
        let parsed = self.parsed;
        let Made::Module { module, args } = &parsed.instances[instance] else { return Ok(()) };
        if !parsed.is_kept(*module) {
            return Ok(());
        }
        let mut given = vec![];
        for (name, from) in args {
            let Made::Items(items) = &parsed.instances[*from] else {
                return Err("a module that is kept is given items only".into());
            };
            let mut exports = vec![];
            for (name, kind, index) in items {
                let index = self.need(*kind, parsed.resolve(*kind, *index)?)?;
                exports.push((name.as_str(), export_kind(*kind), index));
            }
            let mut section = InstanceSection::new();
            section.export_items(exports);
            given.push((name.as_str(), ModuleArg::Instance(self.add_instance(&section))));
        }
        let mut section = InstanceSection::new();
        section.instantiate(self.new_module_index(*module), given);
        let index = self.add_instance(&section);
        self.instances.insert(instance, index);
        Ok(())
    }

    /// Instantiates the fused module, once everything that it imports is there.
    fn fused(&mut self) -> Result<u32> {
        if let Some(index) = self.fused_instance {
            return Ok(index);
        }
        let mut exports = vec![];
        for (name, source) in self.fused.imports.clone() {
            exports.push((name, ExportKind::Func, self.need(ExternalKind::Func, source)?));
        }
        let mut section = InstanceSection::new();
        section.export_items(exports.iter().map(|(name, kind, index)| (name.as_str(), *kind, *index)));
        let items = self.add_instance(&section);
        let mut section = InstanceSection::new();
        section.instantiate(0, [(crate::core::HOST, ModuleArg::Instance(items))]);
        let index = self.add_instance(&section);
        self.fused_instance = Some(index);
        Ok(index)
    }

    /// The new index of a core item; its alias is written if there is none yet.
    fn need(&mut self, kind: ExternalKind, source: Source) -> Result<u32> {
        let space = space(kind)?;
        let key = (kind as u8, source);
        if let Some(index) = self.known.get(&key) {
            return Ok(*index);
        }
        let (instance, name) = match &key.1 {
            Source::Canonical(_) => return Err("a host function is used before it is there".into()),
            Source::Kept(instance, name) => (self.instances[instance], name.clone()),
            Source::Inside(definition) => {
                let next = format!("e{}", self.wanted.len());
                let name = self.wanted.entry(definition.clone()).or_insert(next).clone();
                let name = self.fused.exports.get(definition).cloned().unwrap_or(name);
                (self.fused()?, name)
            }
        };
        let mut section = ComponentAliasSection::new();
        section.alias(wasm_encoder::Alias::CoreInstanceExport {
            instance,
            kind: export_kind(kind),
            name: &name,
        });
        self.out.section(&section);
        Ok(self.add(space, key))
    }

    fn add(&mut self, space: usize, key: (u8, Source)) -> u32 {
        let index = self.counts[space];
        self.counts[space] += 1;
        self.known.insert(key, index);
        index
    }

    fn canonical(&mut self, place: usize, function: &CanonicalFunction) -> Result<()> {
        let mut section = CanonicalFunctionSection::new();
        match function {
            CanonicalFunction::Lift { core_func_index, type_index, options } => {
                let source = self.parsed.resolve(ExternalKind::Func, *core_func_index)?;
                let index = self.need(ExternalKind::Func, source)?;
                let options = self.options(options)?;
                section.lift(index, *type_index, options);
                self.out.section(&section);
                return Ok(());
            }
            CanonicalFunction::Lower { func_index, options } => {
                let options = self.options(options)?;
                section.lower(*func_index, options);
            }
            CanonicalFunction::ResourceDrop { resource } => {
                section.resource_drop(*resource);
            }
            other => return Err(format!("{other:?} is not expected").into()),
        }
        self.out.section(&section);
        self.add(0, (ExternalKind::Func as u8, Source::Canonical(place)));
        Ok(())
    }

    fn options(&mut self, options: &[CanonicalOption]) -> Result<Vec<Option_>> {
        let mut written = vec![];
        for option in options {
            let function = |this: &mut Self, index: u32| -> Result<u32> {
                let source = this.parsed.resolve(ExternalKind::Func, index)?;
                this.need(ExternalKind::Func, source)
            };
            written.push(match option {
                CanonicalOption::UTF8 => Option_::UTF8,
                CanonicalOption::Memory(index) => {
                    let source = self.parsed.resolve(ExternalKind::Memory, *index)?;
                    Option_::Memory(self.need(ExternalKind::Memory, source)?)
                }
                CanonicalOption::Realloc(index) => Option_::Realloc(function(self, *index)?),
                CanonicalOption::PostReturn(index) => Option_::PostReturn(function(self, *index)?),
                other => return Err(format!("{other:?} is not expected").into()),
            });
        }
        Ok(written)
    }
}

fn space(kind: ExternalKind) -> Result<usize> {
    Ok(match kind {
        ExternalKind::Func => 0,
        ExternalKind::Memory => 1,
        ExternalKind::Table => 2,
        ExternalKind::Global => 3,
        other => return Err(format!("{other:?} is not expected").into()),
    })
}

fn export_kind(kind: ExternalKind) -> ExportKind {
    match kind {
        ExternalKind::Memory => ExportKind::Memory,
        ExternalKind::Table => ExportKind::Table,
        ExternalKind::Global => ExportKind::Global,
        _ => ExportKind::Func,
    }
}
