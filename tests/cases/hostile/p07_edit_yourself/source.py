# A name is not overwritten; what runs is what was started, whatever its name means by now.
def run():
    try:
        workflows.create("p07_edit_yourself", "def run(): return 2")
        said = "overwritten"
    except Exception as error:
        said = error.code
    workflows.delete("p07_edit_yourself")
    workflows.create("p07_edit_yourself", "def run(): return 2")
    return [said, 1, workflows.invoke("p07_edit_yourself")]
