"""Items that wait already get their place in the desk's queue: all of them are uncertain, and how much the machine
doubts is read from the first candidate's probability."""

from django.db import migrations
from django.db.models import F, FloatField, Value
from django.db.models.functions import Abs, Cast, Coalesce


def into_the_queue(apps, schema_editor):
    likeliest = Cast(Coalesce(F("probability"), Value(0.0)), FloatField())
    doubt = Value(1.0) - Abs(likeliest * Value(2.0) - Value(1.0))
    apps.get_model("catalog", "Item").objects.filter(state="open").update(lane=1, doubt=doubt)


class Migration(migrations.Migration):
    dependencies = [("catalog", "0008_review_desk")]
    operations = [migrations.RunPython(into_the_queue, migrations.RunPython.noop)]
