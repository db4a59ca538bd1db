"""Teacher targets, computed once per view and replayed; afterwards the teacher is out of the loop."""

from eyebright_learning.teacher_cache.cache import TeacherCache
from eyebright_learning.teacher_cache.key import CacheKey
from eyebright_learning.teacher_cache.layout import planned_bytes
from eyebright_learning.teacher_cache.staleness import check_key
from eyebright_learning.teacher_cache.verification import CacheCheck

__all__ = ["CacheCheck", "CacheKey", "TeacherCache", "check_key", "planned_bytes"]
