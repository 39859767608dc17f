def run():
    deleted = workflows.delete("n12_delete_what_runs")
    try:
        workflows.invoke("n12_delete_what_runs")
    except Exception as error:
        return [deleted, error.code]
