"""Teacher targets, computed once per view and replayed; afterwards the teacher is out of the loop."""

from eyebright_learning.teacher_cache.cache import CacheCheck, TeacherCache
from eyebright_learning.teacher_cache.key import CacheKey

__all__ = ["CacheCheck", "CacheKey", "TeacherCache"]
