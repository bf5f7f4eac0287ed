from apiflask import APIBlueprint
bp = APIBlueprint("problems", __name__)
